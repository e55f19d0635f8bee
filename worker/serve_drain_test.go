package worker

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// start runs srv on listeners of w.
func start(t *testing.T, m *fakeMaster, w *Worker, srv *http.Server, ls ...net.Listener) *served {
	s := &served{m: m, w: w, done: make(chan error, 1)}
	go func() { s.done <- Serve(t.Context(), w, srv, ls...) }() // ends with the drain, or with the test
	return s
}

func TestConnectionsThatWaitWhenTheDrainBeginsAreServed(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peers, seq := m.handOver("k", 5)
	m.answer(seq)
	m.disconnect(1)
	<-w.Draining()
	s := start(t, m, w, &http.Server{Handler: http.HandlerFunc(hello)}, l)
	for _, peer := range peers {
		if got := ask(t, peer); !got.Close {
			t.Error("the answer keeps the connection, want Connection: close")
		}
	}
	if err := s.wait(); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
}

func TestAConnectionWithoutARequestIsClosedInTheEnd(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	s := &served{m: m, w: w, done: make(chan error, 1)}
	tracker := track(w, &http.Server{Handler: http.HandlerFunc(hello)}, time.Millisecond)
	go func() { s.done <- tracker.run(t.Context(), []net.Listener{l}) }()
	peer := s.peer()
	defer peer.Close()
	m.disconnect(1)
	<-w.Draining()
	if err := s.wait(); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
	if n, err := peer.Read([]byte{0}); err != io.EOF {
		t.Errorf("peer read %d, %v, want EOF", n, err)
	}
}

func TestServeWaitsForAHandlerThatHijacked(t *testing.T) {
	s := serve(t, t.Context(), func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, ok := conn.(*net.TCPConn); !ok {
			t.Errorf("hijacked a %T, want a *net.TCPConn", conn)
		}
		io.WriteString(conn, "+")
		io.Copy(conn, conn)
	})
	peer := s.peer()
	io.WriteString(peer, request)
	b := []byte{0}
	io.ReadFull(peer, b)
	s.m.disconnect(1)
	<-s.w.Draining()
	io.WriteString(peer, "x")
	if _, err := io.ReadFull(peer, b); err != nil || b[0] != 'x' {
		t.Fatalf("read %q, %v during the drain, want x", b, err)
	}
	select {
	case err := <-s.done:
		t.Fatalf("Serve = %v while a hijacked connection is in use", err)
	default:
	}
	peer.(*net.TCPConn).CloseWrite()
	if err := s.wait(); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
}

func TestAnUpgradeSetsItsOwnConnectionHeader(t *testing.T) {
	s := serve(t, t.Context(), func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, rw.Header().Get("Connection")) // what an upgrade would send along with its own
	})
	plain, upgrade := s.peer(), s.peer()
	s.m.disconnect(1)
	<-s.w.Draining()
	for _, test := range []struct {
		peer         net.Conn
		header, want string
	}{{plain, "", "close"}, {upgrade, "Connection: Upgrade\r\nUpgrade: x\r\n", ""}} {
		io.WriteString(test.peer, "GET / HTTP/1.1\r\nHost: test\r\n"+test.header+"\r\n")
		got, err := http.ReadResponse(bufio.NewReader(test.peer), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(got.Body); err != nil || string(b) != test.want {
			t.Errorf("the handler of %q found Connection: %q, %v; want %q", test.header, b, err, test.want)
		}
	}
}

func TestServeCallsTheHooksOfTheServer(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	type key struct{}
	states := make(chan http.ConnState, 10)
	shutdown := make(chan struct{})
	srv := &http.Server{
		ConnState:   func(_ net.Conn, s http.ConnState) { states <- s },
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, "mine") },
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Context().Value(key{}) != "mine" {
				t.Error("the value of ConnContext is missing")
			}
		}),
	}
	srv.RegisterOnShutdown(func() { close(shutdown) })
	s := start(t, m, w, srv, l)
	ask(t, s.peer())
	m.disconnect(1)
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
	<-shutdown
	for _, want := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle} {
		if got := <-states; got != want {
			t.Errorf("state %v, want %v", got, want)
		}
	}
}

func TestAServerWithoutAHandlerHasTheDefaultOne(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	s := start(t, m, w, &http.Server{}, l)
	if got := ask(t, s.peer()); got.StatusCode != http.StatusNotFound {
		t.Errorf("status %d, want the 404 of the default mux", got.StatusCode)
	}
	m.disconnect(1)
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
}

func TestHTTP2DrainsOverTLS(t *testing.T) {
	m, w := joinMaster(t, Config{})
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	config := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
	certified.Close()
	l := tls.NewListener(m.listen(w, "k"), config)
	begun, finish := make(chan struct{}), make(chan struct{})
	srv := &http.Server{TLSConfig: config, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		io.WriteString(rw, r.Proto)
	})}
	s := start(t, m, w, srv, l)
	peer := s.peer()
	transport := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c := tls.Client(peer, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		return c, c.HandshakeContext(ctx)
	}}
	defer transport.CloseIdleConnections()
	answer := make(chan string, 1)
	go func() { // ends with the answer
		r, err := (&http.Client{Transport: transport}).Get("https://test/")
		if err != nil {
			answer <- err.Error()
			return
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		answer <- string(b)
	}()
	<-begun
	m.disconnect(1)
	<-w.Draining()
	close(finish)
	if got := <-answer; got != "HTTP/2.0" {
		t.Errorf("answer %q, want HTTP/2.0", got)
	}
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
}

func TestListenersThatAreNotTheWorkersEndWithTheDrain(t *testing.T) {
	m, w := joinMaster(t, Config{})
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tracker := track(w, &http.Server{Handler: http.HandlerFunc(hello)}, time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- tracker.run(t.Context(), []net.Listener{plain, struct{ net.Listener }{wrapped}}) }()
	for _, l := range []net.Listener{plain, wrapped} {
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ask(t, peer)
		peer.Close()
	}
	m.disconnect(0)
	if err := <-done; err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
}

// failing is a listener whose Accept fails.
type failing struct {
	net.Listener
	err error
}

func (f failing) Accept() (net.Conn, error) { return nil, f.err }

func TestServeEndsWithAListenerThatFails(t *testing.T) {
	m, w := joinMaster(t, Config{})
	broken := errors.New("broken")
	l := m.listen(w, "k")
	s := start(t, m, w, &http.Server{}, l, failing{m.peers, broken})
	if err := s.wait(); err != broken {
		t.Errorf("Serve = %v, want %v", err, broken)
	}
	if err := Serve(t.Context(), w, &http.Server{}); err == nil {
		t.Error("Serve without listeners = nil, want an error")
	}
}

func TestServeDrainsWhenTheProgramClosesItsListeners(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	s := start(t, m, w, &http.Server{Handler: http.HandlerFunc(hello)}, l)
	peer := s.peer()
	l.Close()
	if got := ask(t, peer); got.StatusCode != http.StatusOK {
		t.Errorf("status %d", got.StatusCode)
	}
	if err := s.wait(); err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestShutdownByTheProgramEndsServe(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	srv := &http.Server{Handler: http.HandlerFunc(hello)}
	s := start(t, m, w, srv, l)
	ask(t, s.peer())
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(); err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestTwoServersDrainTogether(t *testing.T) {
	m, w := joinMaster(t, Config{})
	var answered atomic.Int32
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { answered.Add(1) })
	first := start(t, m, w, &http.Server{Handler: handler}, m.listen(w, "a"))
	second := start(t, m, w, &http.Server{Handler: handler}, m.listen(w, "b"))
	a, seqA := m.handOver("a", 1)
	m.answer(seqA)
	b, seqB := m.handOver("b", 1)
	m.answer(seqB)
	m.disconnect(2)
	<-w.Draining()
	ask(t, a[0])
	ask(t, b[0])
	if err := errors.Join(first.wait(), second.wait()); err != nil || answered.Load() != 2 {
		t.Errorf("Serve = %v, %d answers; want nil and 2", err, answered.Load())
	}
}
