package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/master"
)

var errInterrupted = errors.New("interrupted a second time: what was in flight is cut")

// host runs a master with what surrounds it in a process of its own: the control
// socket, the signals and the service manager. It borrows notifier and returns
// when the master has ended, and everything around it.
func host(ctx context.Context, cfg master.Config, notifier *notify.Notifier) error {
	if err := hideMemory(); err != nil {
		return err
	}
	path, err := control.Path(cfg.Name)
	if err != nil {
		return err
	}
	listener, err := control.Listen(ctx, path)
	if err != nil {
		return err
	}
	teller := newTeller(notifier, cfg.Logger, cfg.Notify)
	cfg.Notify, cfg.Watchdog = teller.tell, notifier.WatchdogTimeout()/2
	m, err := master.New(cfg)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	signals := make(chan os.Signal, 16)
	// SIGPIPE is taken and forgotten: by default a Go program dies of it when
	// whoever reads its standard output has gone.
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPIPE)
	defer signal.Stop(signals)

	ctx, stopNow := context.WithCancelCause(ctx)
	defer stopNow(nil)
	around, end := context.WithCancel(context.WithoutCancel(ctx))
	o := &orders{master: m, log: cfg.Logger, stopNow: stopNow, stop: make(chan struct{}, 1)}
	server := &control.Server{Listener: listener, Backend: backend{m, o}, Logger: cfg.Logger}
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
	return err
}

// orders are what the operator wants: by a signal, or by a stop over the control
// socket.
type orders struct {
	master  *master.Master
	log     *slog.Logger
	stopNow context.CancelCauseFunc
	stop    chan struct{} // one is enough
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
			case sig == syscall.SIGINT && draining:
				o.stopNow(errInterrupted)
			case sig == syscall.SIGINT || sig == syscall.SIGTERM:
				drain()
			}
		}
	}
}

// reload is by signal: the master logs how it ended, but not that it is refused.
func (o *orders) reload(ctx context.Context) {
	if err := o.master.Reload(ctx); errors.Is(err, master.ErrBusy) {
		o.log.Warn("reload by SIGHUP refused", "err", err)
	}
}
