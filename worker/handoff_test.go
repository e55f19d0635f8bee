package worker

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// stuff fills the worker's end of the channel until nothing more can be written,
// so that the next answer waits for the master to read.
func stuff(t *testing.T, w *Worker) {
	t.Helper()
	err := w.channel.raw.Write(func(fd uintptr) bool {
		for {
			if _, err := sys.Send(int(fd), []byte("\"stuffing\"\n"), nil); err != nil {
				return true
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// answering waits until the reader is writing the answer to connections of key.
func answering(t *testing.T, w *Worker, key string) {
	t.Helper()
	for deadline := time.Now().Add(guard); ; runtime.Gosched() {
		w.mu.Lock()
		l := w.listeners[key]
		yes := l != nil && l.arriving
		w.mu.Unlock()
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the reader did not take the connections")
		}
	}
}

type accepted struct {
	conn net.Conn
	err  error
}

// accepting calls Accept in a goroutine, which ends with the listener.
func accepting(l net.Listener) <-chan accepted {
	c := make(chan accepted, 1)
	go func() {
		conn, err := l.Accept()
		c <- accepted{conn, err}
	}()
	return c
}

func TestTheAnswerIsWrittenBeforeAcceptReturns(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	stuff(t, w)
	c := accepting(l)
	_, seq := m.handOver("k", 1)
	answering(t, w, "k")
	select {
	case got := <-c:
		t.Fatalf("Accept = %v, %v before the answer was written", got.conn, got.err)
	default:
	}
	for {
		got := m.next()
		if got.Kind == wire.User {
			continue
		}
		if got.Kind != wire.Answer || got.Ack != seq || !got.Accepted {
			t.Fatalf("worker sent %+v, want accepted", got)
		}
		break
	}
	got := <-c
	if got.err != nil {
		t.Fatal(got.err)
	}
	got.conn.Close()
}

func TestCloseWhileTheAnswerIsWrittenLosesNothing(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	stuff(t, w)
	peers, seq := m.handOver("k", 1)
	answering(t, w, "k")
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }() // ends when the master reads
	for stopped := false; !stopped; runtime.Gosched() {
		w.mu.Lock()
		stopped = l.(*listener).stopped
		w.mu.Unlock()
	}
	for got := m.next(); got.Kind != wire.Answer; got = m.next() {
	}
	if got := m.want(wire.Close); got.Key != "k" {
		t.Errorf("close of %q after answer %d, want k", got.Key, seq)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	echo(t, l, peers[0], 'x')
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after the last = %v, want net.ErrClosed", err)
	}
}

func TestAConnectionWhoseAnswerCannotBeWrittenIsNeverAccepted(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	stuff(t, w)
	peers, _ := m.handOver("k", 2)
	answering(t, w, "k")
	m.file.Close() // the master dies, or lets go and gives them to another worker
	if conn, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept = %v, %v, want net.ErrClosed", conn, err)
	}
	for _, peer := range peers {
		peer.SetReadDeadline(time.Now().Add(guard))
		if n, err := peer.Read([]byte{0}); err != io.EOF {
			t.Errorf("peer read %d, %v, want EOF: the worker's descriptor is closed", n, err)
		}
	}
	<-w.Draining()
}

func TestConnectionsForAnUnknownKeyAreRefused(t *testing.T) {
	m, w := joinMaster(t, Config{})
	m.listen(w, "k")
	peers, seq := m.handOver("other", 2)
	if got := m.answer(seq); got.Accepted || got.Refused != nil {
		t.Errorf("answer = %+v, want accepted false", got)
	}
	peer, seq := m.handOverOne("")
	m.want(wire.HandleAck)
	if got := m.answer(seq); got.Accepted {
		t.Errorf("answer = %+v, want accepted false", got)
	}
	for _, peer := range append(peers, peer) {
		peer.SetReadDeadline(time.Now().Add(guard))
		if _, err := peer.Read([]byte{0}); err != io.EOF {
			t.Errorf("peer read %v, want EOF: the worker's descriptor is closed", err)
		}
	}
}

func TestCloseTellsTheMasterAndLosesNothing(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peers, seq := m.handOver("k", 1)
	m.answer(seq)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := m.want(wire.Close); got.Key != "k" {
		t.Errorf("close of %q, want k", got.Key)
	}
	_, seq = m.handOver("k", 1) // crossed the close on the channel
	if got := m.answer(seq); got.Accepted {
		t.Errorf("answer after Close = %+v, want refused", got)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close = %v, want net.ErrClosed", err)
	}
	echo(t, l, peers[0], 'x')
	if conn, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after the last = %v, %v, want net.ErrClosed", conn, err)
	}
	m.listen(w, "k") // the key is free again
}

func TestCloseReleasesAnAcceptThatWaits(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	c := accepting(l)
	l.Close()
	if got := <-c; !errors.Is(got.err, net.ErrClosed) {
		t.Fatalf("Accept = %v, %v, want net.ErrClosed", got.conn, got.err)
	}
}

func TestAListenerThatNobodyAcceptsFromRefusesWhatItCannotHold(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	w.mu.Lock()
	l.(*listener).queue = make(chan int, 3) // maxWaiting is more than a test need open
	w.mu.Unlock()
	peers, first := m.handOver("k", 2)
	m.answer(first)
	more, second := m.handOver("k", 4)
	got := m.answer(second)
	if !got.Accepted || len(got.Refused) != 3 || got.Refused[0] != 1 {
		t.Fatalf("answer = %+v, want 1, 2 and 3 refused", got)
	}
	_, third := m.handOver("k", 1)
	if got := m.answer(third); got.Accepted {
		t.Fatalf("answer = %+v, want accepted false", got)
	}
	for _, peer := range append(peers, more[0]) {
		echo(t, l, peer, 'x')
	}
	again, fourth := m.handOver("k", 1)
	if got := m.answer(fourth); !got.Accepted {
		t.Fatalf("answer = %+v, want accepted after Accept made room", got)
	}
	echo(t, l, again[0], 'y')
}

func TestLeaveClosesWhatNobodyAccepted(t *testing.T) {
	m, w := joinMaster(t, Config{})
	m.listen(w, "k")
	peers, seq := m.handOver("k", 2)
	m.answer(seq)
	m.disconnect(1)
	if err := w.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, peer := range peers {
		peer.SetReadDeadline(time.Now().Add(guard))
		if _, err := peer.Read([]byte{0}); err != io.EOF {
			t.Errorf("peer read %v, want EOF", err)
		}
	}
}

func TestAConnectionThatDiedInTheQueueIsSkipped(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peers, seq := m.handOver("k", 2)
	m.answer(seq)
	peers[0].(*net.TCPConn).SetLinger(0) // close with a reset
	peers[0].Close()
	echo(t, l, peers[1], 'x')
}

func TestUnixConnectionsAreUnixConnections(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	a, b, err := sys.Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(a)
	seq := m.nextSeq()
	m.write(wire.AppendNewConns(nil, wire.Quote("k"), seq, 1), b)
	sys.Close(b)
	m.answer(seq)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, ok := conn.(*net.UnixConn); !ok {
		t.Fatalf("Accept gave a %T, want a *net.UnixConn", conn)
	}
}
