package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rondokit/rondo/internal/cgroup"
	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/master"
)

var errInterrupted = errors.New("interrupted a second time: what was in flight is cut")

// host runs a master with what surrounds it in a process of its own: the control
// socket, the signals and the service manager. It borrows notifier and returns
// when the master has ended, and everything around it. If that was to make place for
// another program, and none took it, the next master goes on here.
func host(ctx context.Context, cfg master.Config, notifier *notify.Notifier, up *upgradeStatus) error {
	for {
		h, err := hostOne(ctx, cfg, notifier, up)
		if h == nil {
			return err
		}
		p, err := passOn(h)
		if err == nil {
			err = p.giveWay(notifier.Environ())
		}
		cfg.Logger.Error("upgrade failed; this version serves on", "err", err)
		text := oneLine(err)
		up = &upgradeStatus{From: master.Version, Error: &text}
		if cfg.Sockets, err = p.sockets(); err != nil {
			return err
		}
		cfg.Stored = p.stored()
		p.close()
	}
}

// hostOne is host for one master. It gives what that handed over.
func hostOne(ctx context.Context, cfg master.Config, notifier *notify.Notifier, up *upgradeStatus) (*master.Handover, error) {
	if err := hideMemory(); err != nil {
		return nil, err
	}
	path, err := control.Path(cfg.Name)
	if err != nil {
		return nil, err
	}
	listener, err := control.Listen(ctx, path)
	if err != nil {
		return nil, err
	}
	teller := newTeller(notifier, cfg.Logger, cfg.Notify)
	cfg.Notify, cfg.Watchdog = teller.tell, notifier.WatchdogTimeout()/2
	if cfg.Store = newStore(notifier, teller, &cfg); cfg.Store != nil {
		cfg.Sweep = sweeper(cfg.Logger)
	}
	m, err := master.New(cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	signals := make(chan os.Signal, 16)
	// SIGPIPE is taken and forgotten: by default a Go program dies of it when
	// whoever reads its standard output has gone.
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR2, syscall.SIGPIPE)
	defer signal.Stop(signals)

	ctx, stopNow := context.WithCancelCause(ctx)
	defer stopNow(nil)
	around, end := context.WithCancel(context.WithoutCancel(ctx))
	o := &orders{master: m, log: cfg.Logger, stopNow: stopNow, stop: make(chan struct{}, 1), program: program()}
	server := &control.Server{Listener: listener, Backend: backend{m, o, teller, up}, Logger: cfg.Logger}
	var all sync.WaitGroup // of goroutines that end with around
	all.Go(func() {
		if err := server.Run(around); err != nil {
			cfg.Logger.Error("control socket ended; the service goes on without it", "err", err)
		}
	})
	all.Go(func() { teller.run(around) })
	all.Go(func() { o.run(around, signals) })
	err = m.Run(ctx)
	if err != nil {
		teller.failed(err)
	}
	end()
	all.Wait()
	return m.Handover(), err
}

// sweepPatience bounds the wait for what is killed.
const sweepPatience = 5 * time.Second

// sweeper ends what an earlier run of this service has left, which nobody would reach
// any more. Outside of a service of its own it ends nothing.
func sweeper(log *slog.Logger) func(keep []int) {
	return func(keep []int) {
		if cgroup.Unit() == "" {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), sweepPatience)
		defer cancel()
		list, err := cgroup.Leftovers(keep)
		if len(list) > 0 {
			log.Warn("processes of an earlier run were left over and are killed", "processes", cgroup.List(list))
			err = cgroup.Kill(ctx, list)
		}
		if err != nil {
			log.Error("what an earlier run left over cannot be ended", "err", err)
		}
	}
}

// orders are what the operator wants: by a signal, or by a stop over the control
// socket.
type orders struct {
	master  *master.Master
	log     *slog.Logger
	stopNow context.CancelCauseFunc
	stop    chan struct{} // one is enough
	program string        // to upgrade to
}

// run obeys until ctx ends, which is when the master has ended.
func (o *orders) run(ctx context.Context, signals <-chan os.Signal) {
	var begun sync.WaitGroup // each ends with the master, or sooner
	defer begun.Wait()
	draining := false
	drain := func() {
		if !draining {
			draining = true
			begun.Go(func() { _ = o.master.Drain(ctx) }) // only ctx ends it early
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.stop:
			drain()
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				begun.Go(func() { o.reload(ctx) })
			case sig == syscall.SIGUSR2:
				begun.Go(func() {
					if err := o.upgrade(ctx); err != nil {
						o.log.Error("upgrade by SIGUSR2 failed; this version serves on", "err", err)
					}
				})
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
	if err := tryUpgrade(ctx, o.program); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	return o.master.HandOver(ctx)
}

// reload is by signal: the master logs how it ended, but not that it is refused.
func (o *orders) reload(ctx context.Context) {
	if err := o.master.Reload(ctx); errors.Is(err, master.ErrBusy) {
		o.log.Warn("reload by SIGHUP refused", "err", err)
	}
}
