package worker

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// listening is a Listen that has asked the master and waits.
type listening struct {
	l    net.Listener
	err  error
	done chan struct{}
}

func querying(ctx context.Context, m *fakeMaster, w *Worker, network, address string) (*listening, wire.Message) {
	m.t.Helper()
	a := &listening{done: make(chan struct{})}
	go func() { // ends with the answer, ctx or the channel
		a.l, a.err = w.Listen(ctx, network, address)
		close(a.done)
	}()
	return a, m.want(wire.QueryServer)
}

func TestListenSaysWhichPortIsBound(t *testing.T) {
	m, w := joinMaster(t, Config{})
	a, q := querying(t.Context(), m, w, "tcp", "127.0.0.1:0")
	m.write(wire.AppendReply(nil, 0, q.Seq, "k", 0, nil, &wire.Sockname{Address: "127.0.0.1", Family: "IPv4", Port: 4321}))
	if got := m.want(wire.Listening); got.Query.Port != 4321 || got.Query.Address != "127.0.0.1" {
		t.Errorf("listening = %+v, want port 4321", got.Query)
	}
	<-a.done
	if a.err != nil || a.l.Addr().String() != "127.0.0.1:4321" {
		t.Errorf("Listen = %v, %v, want the address 127.0.0.1:4321", a.l, a.err)
	}
}

func TestListenOfAPathShowsThePath(t *testing.T) {
	m, w := joinMaster(t, Config{})
	a, q := querying(t.Context(), m, w, "unix", "/run/x.sock")
	m.reply(q, "k")
	m.want(wire.Listening)
	<-a.done
	if a.err != nil || a.l.Addr().Network() != "unix" || a.l.Addr().String() != "/run/x.sock" {
		t.Errorf("Listen = %v, %v, want the address /run/x.sock", a.l, a.err)
	}
}

func TestListenByNameShowsWhatTheSocketIs(t *testing.T) {
	for _, test := range []struct {
		name          wire.Sockname
		network, addr string
	}{
		{wire.Sockname{Address: "::", Family: "IPv6", Port: 80}, "tcp", "[::]:80"},
		{wire.Sockname{Address: "/run/web.sock", Family: "unix", Port: -1}, "unix", "/run/web.sock"},
	} {
		t.Run(test.network, func(t *testing.T) {
			m, w := joinMaster(t, Config{})
			a, q := querying(t.Context(), m, w, "activation", "web")
			if q.Query.Name != "web" || q.Query.FD != -1 || q.Query.Type != "" {
				t.Errorf("query = %+v, want the name web and nothing else", q.Query)
			}
			m.write(wire.AppendReply(nil, 0, q.Seq, "k", 0, nil, &test.name))
			if got := m.want(wire.Listening); got.Query.Name != "web" {
				t.Errorf("listening = %+v, want the name", got.Query)
			}
			<-a.done
			if a.err != nil || a.l.Addr().Network() != test.network || a.l.Addr().String() != test.addr {
				t.Errorf("Listen = %v, %v, want %s", a.l, a.err, test.addr)
			}
		})
	}
}

func TestTheMastersErrnoIsWithinReach(t *testing.T) {
	m, w := joinMaster(t, Config{})
	for _, errno := range []unix.Errno{unix.EADDRINUSE, unix.EACCES, unix.EADDRNOTAVAIL} {
		a, q := querying(t.Context(), m, w, "tcp", "127.0.0.1:80")
		m.write(wire.AppendReply(nil, 0, q.Seq, "", -int(errno), nil, nil))
		<-a.done
		if !errors.Is(a.err, errno) {
			t.Errorf("Listen = %v, want %v", a.err, errno)
		}
		if op, ok := errors.AsType[*net.OpError](a.err); !ok || op.Op != "listen" || op.Addr.String() != "127.0.0.1:80" {
			t.Errorf("Listen = %#v, want a *net.OpError with the address", a.err)
		}
	}
}

func TestListenFailsOnAnAnswerThatMakesNoSense(t *testing.T) {
	m, w := joinMaster(t, Config{})
	m.listen(w, "taken")
	for _, test := range []struct {
		key    string
		errno  int
		port   int
		closed bool // the master is told that nobody listens
	}{
		{"k", 0, 81, true}, // another port than asked: what Node takes for EADDRINUSE
		{"k", 98, 80, false},
		{"", 0, 80, false},
		{"taken", 0, 80, false},
	} {
		a, q := querying(t.Context(), m, w, "tcp", "127.0.0.1:80")
		m.write(wire.AppendReply(nil, 0, q.Seq, test.key, test.errno, nil, &wire.Sockname{Address: "127.0.0.1", Port: test.port}))
		<-a.done
		if a.err == nil {
			t.Errorf("%+v: Listen = nil, want an error", test)
		}
		if test.port == 81 && !errors.Is(a.err, unix.EADDRINUSE) {
			t.Errorf("%+v: Listen = %v, want EADDRINUSE", test, a.err)
		}
		if test.closed {
			m.want(wire.Close)
		}
	}
	m.sync()
}

func TestListenEndsWithItsContext(t *testing.T) {
	m, w := joinMaster(t, Config{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	a, q := querying(ctx, m, w, "tcp", "127.0.0.1:80")
	cancel(cause)
	<-a.done
	if !errors.Is(a.err, cause) {
		t.Fatalf("Listen = %v, want %v", a.err, cause)
	}
	m.reply(q, "late")
	if got := m.want(wire.Close); got.Key != "late" {
		t.Errorf("close of %q, want late", got.Key)
	}
	_, seq := m.handOver("late", 1)
	if got := m.answer(seq); got.Accepted {
		t.Errorf("answer = %+v for a listener that nobody has, want refused", got)
	}
}

func TestListenEndsWithTheDrain(t *testing.T) {
	m, w := joinMaster(t, Config{})
	a, _ := querying(t.Context(), m, w, "tcp", "127.0.0.1:80")
	m.disconnect(0)
	<-a.done
	if !errors.Is(a.err, net.ErrClosed) {
		t.Errorf("Listen = %v, want net.ErrClosed", a.err)
	}
	if _, err := w.Listen(t.Context(), "tcp", "127.0.0.1:80"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen during the drain = %v, want net.ErrClosed", err)
	}
	m.sync()
}

func TestAnAnswerThatCrossesTheDrainIsClosed(t *testing.T) {
	m, w := joinMaster(t, Config{})
	a, q := querying(t.Context(), m, w, "tcp", "127.0.0.1:80")
	w.Drain()
	m.want(wire.Exited)
	m.reply(q, "crossed")
	if got := m.want(wire.Close); got.Key != "crossed" {
		t.Errorf("close of %q, want crossed", got.Key)
	}
	<-a.done
}

// index counts listeners of one address while any is open, and begins again after.
func TestListenersOfOneAddressAreNumbered(t *testing.T) {
	m, w := joinMaster(t, Config{})
	open := func(key string, index int) net.Listener {
		t.Helper()
		a, q := querying(t.Context(), m, w, "tcp", "127.0.0.1:0")
		if q.Query.Index != index {
			t.Errorf("%s: index %d, want %d", key, q.Query.Index, index)
		}
		m.write(wire.AppendReply(nil, 0, q.Seq, key, 0, nil, &wire.Sockname{Address: "127.0.0.1", Port: 4000}))
		m.want(wire.Listening)
		<-a.done
		return a.l
	}
	closeIt := func(l net.Listener) {
		t.Helper()
		l.Close()
		m.want(wire.Close)
	}
	first, second := open("a", 0), open("b", 1)
	closeIt(first)
	third := open("c", 2)
	closeIt(second)
	closeIt(third)
	closeIt(open("d", 0))
}

func TestASharedListenerIsAcceptedFromDirectly(t *testing.T) {
	m, w := joinMaster(t, Config{})
	a, q := querying(t.Context(), m, w, "tcp", m.peers.Addr().String())
	fd, err := sys.DupFile(m.peers.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	m.write(wire.AppendShare(nil, 0, q.Seq, "k", false, nil), fd)
	sys.Close(fd)
	m.want(wire.HandleAck)
	if got := m.want(wire.Listening); got.Query.Port != m.peers.Addr().(*net.TCPAddr).Port {
		t.Errorf("listening = %+v, want the port of the socket", got.Query)
	}
	<-a.done
	if a.err != nil {
		t.Fatal(a.err)
	}
	peer, err := net.Dial("tcp", a.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	echo(t, a.l, peer, 'x')
	m.disconnect(1) // the drain closes it
	if _, err := a.l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}
