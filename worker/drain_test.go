package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

func TestLeaveWaitsForTheMasterToKnow(t *testing.T) {
	m, w := joinMaster(t, Config{})
	m.listen(w, "k")
	left := make(chan error, 1)
	go func() { left <- w.Leave(t.Context()) }()
	if got := m.want(wire.Close); got.Key != "k" {
		t.Fatalf("close of %q, want k", got.Key)
	}
	exited := m.want(wire.Exited)
	select {
	case err := <-left:
		t.Fatalf("Leave = %v before the master's answer", err)
	default:
	}
	m.write(wire.AppendAck(nil, m.nextSeq(), exited.Seq))
	m.end()
	if err := <-left; err != nil {
		t.Fatalf("Leave = %v, want nil", err)
	}
}

func TestLeaveAfterDisconnectSaysNothingMore(t *testing.T) {
	m, w := joinMaster(t, Config{})
	m.disconnect(0)
	<-w.Draining()
	if err := w.Leave(t.Context()); err != nil {
		t.Fatalf("Leave = %v, want nil", err)
	}
	m.end()
	if err := w.Leave(t.Context()); err != nil {
		t.Fatalf("second Leave = %v, want nil", err)
	}
}

func TestLeaveEndsTheChannelWhenItsContextEnds(t *testing.T) {
	m, w := joinMaster(t, Config{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := w.Leave(ctx); !errors.Is(err, cause) {
		t.Fatalf("Leave = %v, want %v", err, cause)
	}
	m.want(wire.Exited)
	m.end()
}
