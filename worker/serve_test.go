package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// served is a Serve that runs under a fakeMaster.
type served struct {
	m    *fakeMaster
	w    *Worker
	done chan error
}

// serve runs handler on the listener k.
func serve(t *testing.T, ctx context.Context, handler http.HandlerFunc) *served {
	m, w := joinMaster(t, Config{})
	s := &served{m: m, w: w, done: make(chan error, 1)}
	l := m.listen(w, "k")
	go func() { s.done <- Serve(ctx, w, &http.Server{Handler: handler}, l) }()
	return s
}

// peer hands a connection over and returns when it is answered.
func (s *served) peer() net.Conn {
	s.m.t.Helper()
	peers, seq := s.m.handOver("k", 1)
	if got := s.m.answer(seq); !got.Accepted {
		s.m.t.Fatalf("connection refused: %+v", got)
	}
	peers[0].SetDeadline(time.Now().Add(guard))
	return peers[0]
}

// wait returns the result of Serve.
func (s *served) wait() error {
	s.m.t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(guard):
		s.m.t.Fatal("Serve did not return")
		return nil
	}
}

const request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"

// ask sends a request and reads the answer.
func ask(t *testing.T, peer net.Conn) *http.Response {
	t.Helper()
	if _, err := io.WriteString(peer, request); err != nil {
		t.Fatal(err)
	}
	return answer(t, peer)
}

// answer reads the whole answer to a request.
func answer(t *testing.T, peer net.Conn) *http.Response {
	t.Helper()
	got, err := http.ReadResponse(bufio.NewReader(peer), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, got.Body); err != nil {
		t.Fatalf("answer cut: %v", err)
	}
	return got
}

func hello(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "hello") }

func TestServeReturnsAfterARequestInFlight(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, t.Context(), func(rw http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		hello(rw, r)
	})
	peer := s.peer()
	io.WriteString(peer, request)
	<-begun
	s.m.disconnect(1)
	select {
	case err := <-s.done:
		t.Fatalf("Serve = %v with a request in flight", err)
	case <-s.w.Draining():
	}
	close(finish)
	if got := answer(t, peer); got.StatusCode != http.StatusOK {
		t.Fatalf("answer = %v", got.Status)
	}
	if err := s.wait(); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
}

func TestAConnectionHandedOverBeforeTheDrainGetsItsFirstRequestAnswered(t *testing.T) {
	s := serve(t, t.Context(), hello)
	peer := s.peer()
	s.m.disconnect(1)
	<-s.w.Draining()
	got := ask(t, peer)
	if !got.Close {
		t.Error("the answer keeps the connection, want Connection: close during the drain")
	}
	if err := s.wait(); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
}

func TestAnIdleConnectionIsClosedByTheDrain(t *testing.T) {
	s := serve(t, t.Context(), hello)
	peer := s.peer()
	if got := ask(t, peer); got.Close {
		t.Error("the answer ends the connection before the drain")
	}
	s.m.disconnect(1)
	if err := s.wait(); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
	if n, err := peer.Read([]byte{0}); err != io.EOF {
		t.Fatalf("read after the drain = %d, %v, want EOF", n, err)
	}
}

func TestServeStopsAtOnceWhenItsContextEnds(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	begun := make(chan struct{})
	s := serve(t, ctx, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})
	peer := s.peer()
	io.WriteString(peer, request)
	<-begun
	cancel(cause)
	if err := s.wait(); err != cause {
		t.Fatalf("Serve = %v, want %v", err, cause)
	}
	if n, err := peer.Read([]byte{0}); err == nil {
		t.Fatalf("read %d bytes of a connection that was cut", n)
	}
}

func TestTheEndOfTheChannelDrains(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, t.Context(), func(rw http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		hello(rw, r)
	})
	peer := s.peer()
	fmt.Fprint(peer, request)
	<-begun
	s.m.file.Close()
	<-s.w.Draining()
	close(finish)
	answer(t, peer)
	if err := s.wait(); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
	if err := s.w.Leave(t.Context()); err != nil {
		t.Fatalf("Leave = %v, want nil", err)
	}
}
