package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rondokit/rondo/internal/cgroup"
	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/master"
)

var errInterrupted = errors.New("interrupted a second time: what was in flight is cut")

// upgrading is what an upgrade needs. Without a program there is none.
type upgrading struct {
	program string         // to upgrade to
	self    *os.File       // the program that this is, to be gone back to
	last    *upgradeStatus // nil: none
	about   func()         // called when it is about to happen
}

// host runs a master with what surrounds it in a process of its own: the control
// socket, the signals and the service manager. It borrows notifier and returns
// when the master has ended, and everything around it. If that was to make place for
// another program, and none took it, the next master goes on here.
func host(ctx context.Context, cfg master.Config, notifier *notify.Notifier, up upgrading, sigs *pending) error {
	o := &orders{log: cfg.Logger, sigs: sigs, stop: make(chan struct{}, 1), program: up.program}
	o.last.Store(up.last)
	mark := newMark(cfg.Logger)
	for {
		h, err := hostOne(ctx, cfg, notifier, o)
		if h == nil {
			if err == nil && !o.left.Load() {
				mark.remove()
			}
			return err
		}
		o.handOver()
		p := passOn(h)
		up.about()
		o.failed(p.giveWay(up.program, up.self, notifier.Environ(), sigs))
		cfg.Stored, cfg.Begun, cfg.MustAdopt, cfg.Sweep = p.stored(), p.Begun, false, nil
		cfg.Sockets, err = p.sockets()
		p.close()
		if err != nil {
			return err
		}
	}
}

// hostOne is host for one master. It gives what that handed over.
func hostOne(ctx context.Context, cfg master.Config, notifier *notify.Notifier, o *orders) (*master.Handover, error) {
	if err := hideMemory(); err != nil {
		return nil, err
	}
	collectEarly()
	controls, err := openControls(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	teller := newTeller(notifier, cfg.Logger, cfg.Notify)
	cfg.Notify, cfg.Watchdog = teller.tell, notifier.WatchdogTimeout()/2
	store := newStore(ctx, notifier, teller, &cfg)
	if store != nil {
		cfg.Store = store
	}
	m, err := master.New(cfg)
	if err != nil {
		return nil, errors.Join(err, controls.close())
	}
	ctx, stopNow := context.WithCancelCause(ctx)
	defer stopNow(nil)
	around, end := context.WithCancel(context.WithoutCancel(ctx))
	o.master, o.stopNow = m, stopNow
	var all sync.WaitGroup // of goroutines that end with around
	all.Go(func() { controls.run(around, backend{m, o, teller, store}) })
	all.Go(func() { teller.run(around) })
	all.Go(func() { store.check(around) })
	all.Go(func() { o.run(around) })
	err = m.Run(ctx)
	if err != nil {
		teller.failed(err)
	}
	end()
	all.Wait()
	return m.Handover(), err
}

// collectEarly has the runtime collect garbage at 1 MiB of heap and not at 4, which are a
// third of the master's memory. There is little: handing over a connection makes none.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// sweepPatience bounds the wait for what is killed.
const sweepPatience = 5 * time.Second

// sweeper ends what an earlier run of this service has left, which nobody would reach
// any more. Outside of a service of its own it ends nothing.
func sweeper(log *slog.Logger) func(keep, lost []int) {
	return func(keep, lost []int) {
		if cgroup.Unit() == "" {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), sweepPatience)
		defer cancel()
		list, err := leftovers(ctx, keep, lost)
		if len(list) > 0 {
			log.Warn("processes of an earlier run were left over and are killed", "processes", cgroup.List(list))
			err = cgroup.Kill(ctx, list)
		}
		if err != nil {
			log.Error("what an earlier run left over cannot be ended", "err", err)
		}
	}
}

// leftovers is cgroup.Leftovers until ctx ends: the kernel lets nobody read of a process
// whose memory it works on, and such a process must not keep a service from starting.
func leftovers(ctx context.Context, keep, lost []int) ([]cgroup.Process, error) {
	type found struct {
		list []cgroup.Process
		err  error
	}
	done := make(chan found, 1)
	go func() { // ends when the kernel lets it
		list, err := cgroup.Leftovers(keep, lost)
		done <- found{list, err}
	}()
	select {
	case f := <-done:
		return f.list, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("a process of this service cannot be looked at: %w", context.Cause(ctx))
	}
}
