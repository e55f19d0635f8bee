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

func TestBeingToldTwiceIsBeingToldOnce(t *testing.T) {
	m, w := joinMaster(t, Config{})
	m.listen(w, "k")
	peers, seq := m.handOver("k", 1)
	m.answer(seq)
	m.disconnect(1)
	m.disconnect(0)
	w.Drain() // and of its own will, too late to say so
	m.sync()  // nothing was sent in between
	peers[0].Close()
}

func TestAMessageThatComesTwiceIsAnsweredTwice(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	for range 2 {
		m.seq = 50
		peers, seq := m.handOver("k", 1)
		if got := m.answer(seq); !got.Accepted {
			t.Fatalf("answer = %+v, want accepted", got)
		}
		echo(t, l, peers[0], 'x')
	}
}
