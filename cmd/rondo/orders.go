package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/rondokit/rondo/master"
)

// orders are what the operator wants: by a signal, or over the control socket.
type orders struct {
	master  *master.Master
	log     *slog.Logger
	stopNow context.CancelCauseFunc
	sigs    *pending
	stop    chan struct{} // one is enough
	program string        // to upgrade to

	busy    atomic.Bool                   // with an upgrade
	leaving atomic.Bool                   // for one
	left    atomic.Bool                   // the workers to the next master
	last    atomic.Pointer[upgradeStatus] // upgrade
}

// run obeys until ctx ends, which is when the master has ended.
func (o *orders) run(ctx context.Context) {
	var begun sync.WaitGroup // each ends with the master, or sooner
	defer begun.Wait()
	draining := false
	drain := func() {
		if draining {
			return
		}
		draining = true
		begun.Go(func() {
			_ = o.master.Drain(ctx) // only ctx ends it early
			// For a master that had left before it was told. Else there is no next program.
			o.sigs.tooLate(syscall.SIGTERM)
		})
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.stop:
			drain()
		case sig := <-o.sigs.come:
			switch {
			case sig == syscall.SIGHUP:
				begun.Go(func() { o.reload(ctx) })
			case sig == syscall.SIGUSR2:
				begun.Go(func() { _ = o.upgrade(ctx) }) // it says how that went
			case sig == syscall.SIGINT && draining:
				o.stopNow(errInterrupted)
			case sig == syscall.SIGINT || sig == syscall.SIGTERM:
				drain()
			}
		}
	}
}

// upgrade tries the program that is where this one was started from, and has the
// master make place for it.
func (o *orders) upgrade(ctx context.Context) error {
	if o.program == "" {
		return errors.New("upgrade: a demo is not upgraded: start it again")
	}
	if !o.busy.CompareAndSwap(false, true) {
		return errors.New("upgrade: another one is in progress")
	}
	err := tryUpgrade(ctx, o.program)
	if err == nil {
		o.leaving.Store(true)
		err = o.master.HandOver(ctx)
	}
	if err != nil {
		o.failed(err)
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

// handOver leaves what was asked for too late to the next program.
func (o *orders) handOver() {
	select {
	case <-o.stop:
		o.sigs.tooLate(syscall.SIGTERM)
	default:
	}
}

// failed keeps for status that the last upgrade failed, and why, and says so.
func (o *orders) failed(why error) {
	o.leaving.Store(false)
	o.busy.Store(false)
	o.log.Error("upgrade failed; this version serves on", "version", master.Version, "err", why)
	text := oneLine(why)
	o.last.Store(&upgradeStatus{From: master.Version, Error: &text})
}

// reload is by signal: the master logs how it ended, but not that it is refused.
func (o *orders) reload(ctx context.Context) {
	err := o.master.Reload(ctx)
	switch {
	case errors.Is(err, master.ErrBusy):
		o.log.Warn("reload by SIGHUP refused", "err", err)
	case err != nil && o.leaving.Load():
		o.sigs.tooLate(syscall.SIGHUP)
	}
}
