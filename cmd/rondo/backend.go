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
	teller *teller
	store  *store // nil: none
}

// status is what GET /v1/status answers: the master's, and what became of the last
// upgrade, which no master lives to tell.
type status struct {
	master.Status
	Upgrade *upgradeStatus `json:"upgrade"`
}

// upgradeStatus tells of the last upgrade of this process.
type upgradeStatus struct {
	From  string  `json:"from"` // version
	Error *string `json:"error"`
}

var _ control.Backend = backend{}

func (b backend) Status(ctx context.Context) (any, error) {
	s, err := b.Master.Status(ctx)
	return status{s, b.orders.last.Load()}, err
}

// Upgrade returns when the new program has been tried and is about to take the place
// of this one.
func (b backend) Upgrade(ctx context.Context) error { return b.orders.upgrade(ctx) }

func (b backend) Reload(ctx context.Context) error {
	err := b.Master.Reload(ctx)
	switch {
	case errors.Is(err, master.ErrBusy):
		return control.Busy(err)
	case errors.Is(err, master.ErrStopped):
		return control.Gone(err)
	}
	return err
}

func (b backend) ManagedReload(ctx context.Context) error {
	b.teller.knows.Store(true)
	defer b.teller.knows.Store(false)
	return b.Reload(ctx)
}

// Leave is refused where workers would not outlive the master: they drain instead.
func (b backend) Leave(ctx context.Context) error {
	if err := b.store.suffices(); err != nil {
		return err
	}
	b.orders.left.Store(true) // before Run can return
	err := b.Master.Leave(ctx)
	if err != nil {
		b.orders.left.Store(false)
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
