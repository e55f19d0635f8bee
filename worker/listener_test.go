package worker

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

func TestConnectionsOfABatchComeOutOfAccept(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peers, seq := m.handOver("k", 3)
	if got := m.answer(seq); !got.Accepted || got.Refused != nil {
		t.Fatalf("answer = %+v, want all accepted", got)
	}
	for i, peer := range peers {
		echo(t, l, peer, byte('a'+i))
	}
}

func TestAnEnvelopeIsAckedThenAccepted(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peer, seq := m.handOverOne("k")
	m.want(wire.HandleAck)
	if got := m.answer(seq); !got.Accepted {
		t.Fatalf("answer = %+v, want accepted", got)
	}
	echo(t, l, peer, 'x')
}

func TestQueuedConnectionsAreAcceptedAfterTheDrainBegan(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peers, seq := m.handOver("k", 2)
	m.answer(seq)
	m.disconnect(1)
	<-w.Draining()
	_, late := m.handOver("k", 1)
	if got := m.answer(late); got.Accepted {
		t.Fatalf("answer during the drain = %+v, want refused", got)
	}
	for _, peer := range peers {
		echo(t, l, peer, 'q')
	}
	if conn, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept after the last = %v, %v, want net.ErrClosed", conn, err)
	}
}

// echo accepts peer's connection and sends one byte each way.
func echo(t *testing.T, l net.Listener, peer net.Conn, b byte) {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("Accept gave a %T, want a *net.TCPConn", conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the flags of its file are %#x, %v, want O_NONBLOCK", flags, err)
		}
	})
	got := []byte{0}
	for _, way := range [][2]net.Conn{{peer, conn}, {conn, peer}} {
		if _, err := way[0].Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], got); err != nil || got[0] != b {
			t.Fatalf("read %q, %v, want %q", got, err, b)
		}
	}
}
