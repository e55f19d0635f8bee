package main

import (
	"context"
	"errors"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/master"
)

// backend is the master for the control socket.
type backend struct {
	*master.Master
	orders *orders
}

var _ control.Backend = backend{}

func (b backend) Status(ctx context.Context) (any, error) { return b.Master.Status(ctx) }

func (b backend) Reload(ctx context.Context) error {
	err := b.Master.Reload(ctx)
	if errors.Is(err, master.ErrBusy) {
		return control.Busy(err)
	}
	return err
}

// Stop is as SIGTERM. It returns when the drain has begun, which only the master can
// say: a word that is only queued is no answer.
func (b backend) Stop(ctx context.Context) error {
	select {
	case b.orders.stop <- struct{}{}:
	default: // it was asked for already
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_ = b.Master.Drain(ended) // told, and not waited for
	if _, err := b.Master.Status(ctx); err != nil && !errors.Is(err, master.ErrStopped) {
		return err
	}
	return nil
}
