package notify

import (
	"context"
	"fmt"
	"io"
	"os"
)

// A Barrier is a mark in the stream of messages to the manager. Each wants one Wait,
// which releases it. nil is a Barrier that nothing is waited for at.
type Barrier struct {
	pipe *os.File // its end comes when the manager, which has the only other end, closes that
}

// Barrier sends the mark. Like Send, it does not wait. Where no manager listens, the
// Barrier is nil.
func (n *Notifier) Barrier() (*Barrier, error) {
	if n == nil || n.sock == nil {
		return nil, nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("notify: barrier: %w", err)
	}
	defer theirs.Close()
	if err := n.send("BARRIER=1", int(theirs.Fd())); err != nil {
		ours.Close()
		return nil, err
	}
	return &Barrier{pipe: ours}, nil
}

// Wait waits until the manager has handled every message that was sent before the
// Barrier. Handled is not heeded: what the manager refuses or ignores is handled too.
// If the manager goes away, so that nobody will handle them, the wait ends as well.
//
// If ctx ends first, Wait returns its cause. Either way the Barrier is released, so a
// second Wait fails with os.ErrClosed; on nil, every Wait returns nil at once. Wait
// may run in another goroutine than the Notifier's users, which it does not hinder, and
// beyond the Notifier's Close.
func (b *Barrier) Wait(ctx context.Context) error {
	if b == nil {
		return nil
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { // ends at once
		b.pipe.Close()
		close(closed)
	})
	_, err := io.Copy(io.Discard, b.pipe) // nobody writes to it
	if !stop() {
		<-closed
	}
	b.pipe.Close()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("notify: barrier: %w", err)
}
