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

// Stop is as SIGTERM.
func (b backend) Stop(context.Context) error {
	select {
	case b.orders.stop <- struct{}{}:
	default: // it was asked for already
	}
	return nil
}
