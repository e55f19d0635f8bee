package worker

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"

	"github.com/rondokit/rondo/internal/wire"
)

// tickets are the keys of session tickets that the master has for all workers.
type tickets struct {
	keys *tls.Config // which holds them, and does nothing else
	have func()      // the first keys are there
	wait chan struct{}
}

// ShareTickets lets a TLS session that began on one worker be resumed on any other, also
// after a reload or a restart of the master: config's session tickets are encrypted with
// keys that the workers of a rondo master share, and that it changes once a day. Each key
// is good for seven days, as those of crypto/tls are.
//
// It waits for the first keys, sets WrapSession and UnwrapSession of config, and is to be
// called before config is used; copies of config share them too. It may be called for
// several configurations, by any goroutine. Without a rondo master it changes nothing: each
// process then has keys of its own.
//
// If ctx ends first, ShareTickets returns its cause, and when the worker drains,
// net.ErrClosed; config is as it was then.
func (w *Worker) ShareTickets(ctx context.Context, config *tls.Config) error {
	if w.channel == nil || !w.named {
		return nil
	}
	t, err := w.askTickets()
	if err != nil {
		return fmt.Errorf("worker: session tickets: %w", err)
	}
	select {
	case <-t.wait:
	case <-w.draining:
		return fmt.Errorf("worker: session tickets: %w", net.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("worker: session tickets: the master does not answer: %w", context.Cause(ctx))
	}
	config.WrapSession = t.keys.EncryptTicket
	config.UnwrapSession = t.keys.DecryptTicket
	return nil
}

// askTickets asks the master for the keys, once.
func (w *Worker) askTickets() (*tickets, error) {
	w.mu.Lock()
	t := w.tickets
	if t != nil {
		w.mu.Unlock()
		return t, nil
	}
	wait := make(chan struct{})
	t = &tickets{keys: new(tls.Config), wait: wait, have: sync.OnceFunc(func() { close(wait) })}
	w.tickets = t
	w.mu.Unlock()
	return t, w.channel.send(wire.AppendTickets(nil, w.channel.next()))
}

// newTickets takes keys from the master.
func (w *Worker) newTickets(secrets [][]byte) {
	w.mu.Lock()
	t := w.tickets
	w.mu.Unlock()
	if t == nil || len(secrets) == 0 {
		return
	}
	keys := make([][wire.TicketKeySize]byte, len(secrets))
	for i, secret := range secrets {
		copy(keys[i][:], secret) // of that length: Parse has seen to it
	}
	t.keys.SetSessionTicketKeys(keys)
	t.have()
}
