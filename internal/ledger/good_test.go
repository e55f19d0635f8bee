package ledger

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestGoodServerLosesNothingInAnyMode(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for mode, connections := range map[Mode]int{PerRequest: 100, Kept: 4, Slow: 100} {
			address := serve(t, network, func(n int, p *peer) {
				if mode == Kept {
					p.good()
				} else {
					p.goodOnce()
				}
			})
			r := run(t, t.Context(), Config{
				Network: network, Address: address, Clients: 4, Requests: 25,
				Mode: mode, FirstByte: time.Millisecond, Think: 100 * time.Microsecond,
			})
			counts{Requests: 100, Sent: 100, Answered: 100, Connections: connections}.check(t, r)
			if r.Workers[someone] != 100 || r.Generations[someone.Generation] != 100 {
				t.Errorf("%s mode %d: workers %v, generations %v, want 100 each", network, mode, r.Workers, r.Generations)
			}
			if r.Unclosed != 0 || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P99 {
				t.Errorf("%s mode %d: %s", network, mode, r)
			}
		}
	}
}

func TestAnswersAreCountedForWhoGaveThem(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		id, _ := p.next()
		text := answerTo(id, "")
		switch n % 3 {
		case 0: // a server that does not say who it is
			text = strings.ReplaceAll(text, "X-Rondo", "X-Other")
		case 1:
			text = strings.ReplaceAll(text, GenerationHeader+": 2", GenerationHeader+": 1")
		}
		p.say(text)
	})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Clients: 2, Requests: 6})
	counts{Requests: 12, Sent: 12, Answered: 12, Connections: 12}.check(t, r)
	old := Who{Worker: someone.Worker, PID: someone.PID, Generation: 1}
	if want := map[Who]int{{}: 4, old: 4, someone: 4}; !maps.Equal(r.Workers, want) {
		t.Errorf("workers %v, want %v", r.Workers, want)
	}
	if want := map[int]int{0: 4, 1: 4, 2: 4}; !maps.Equal(r.Generations, want) {
		t.Errorf("generations %v, want %v", r.Generations, want)
	}
}

func TestPathAndHeadersAreAsConfigured(t *testing.T) {
	for _, mode := range []Mode{PerRequest, Kept, Slow} {
		requests := make(chan *http.Request, 2)
		address := serve(t, "tcp", func(n int, p *peer) {
			for {
				r, err := http.ReadRequest(p.in)
				if err != nil {
					return
				}
				requests <- r
				p.say(answerTo(r.Header.Get(IDHeader), ""))
				if r.Close {
					return
				}
			}
		})
		run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 2, Seed: 0xbeef, Mode: mode,
			FirstByte: 7 * time.Millisecond, Body: 9 * time.Second,
			Path: func(id string) string { return "/of?id=" + id }})
		for _, id := range []string{"beef-0-0", "beef-0-1"} {
			r := <-requests
			if r.RequestURI != "/of?id="+id || r.Host != address || r.Close != (mode != Kept) ||
				r.Header.Get(IDHeader) != id || r.Header.Get(FirstByteHeader) != "7" || r.Header.Get(BodyHeader) != "9000" {
				t.Errorf("mode %d, request %s: %+v", mode, id, r)
			}
		}
	}
}

func TestHandlerIsAsSlowAsAsked(t *testing.T) {
	watchLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: Handler(someone)}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	for _, mode := range []Mode{Slow, Kept} {
		r := run(t, t.Context(), Config{
			Network: "tcp", Address: l.Addr().String(), Clients: 3, Requests: 2, Mode: mode,
			FirstByte: 2 * time.Millisecond, Body: 3 * time.Millisecond,
		})
		if err := r.Check(); err != nil || r.Answered != 6 || r.Workers[someone] != 6 {
			t.Errorf("Check() = %v, want 6 answered by %v\n%s", err, someone, r)
		}
		if r.Latency.P50 < 5*time.Millisecond {
			t.Errorf("half of the answers came within %v, asked to take 5ms", r.Latency.P50)
		}
	}
	srv.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func TestCancelledRunFinishesWhatIsUnderWay(t *testing.T) {
	for _, mode := range []Mode{PerRequest, Kept} {
		begun, cancelled := make(chan bool), make(chan bool)
		address := serve(t, "tcp", func(n int, p *peer) {
			id, _ := p.next()
			begun <- true
			<-cancelled
			p.say(answerTo(id, ""))
			if mode == PerRequest {
				return
			}
			if id, ok := p.next(); ok {
				t.Errorf("request %s was sent after the end", id)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range 3 {
				<-begun
			}
			cancel()
			close(cancelled)
		}()
		r := run(t, ctx, Config{Network: "tcp", Address: address, Clients: 3, Mode: mode})
		counts{Requests: 3, Sent: 3, Answered: 3, Connections: 3}.check(t, r)
	}
}

func TestLongIdleConnectionsAreKept(t *testing.T) {
	address := serve(t, "unix", func(n int, p *peer) { p.good() })
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan Who, 5)
	go func() {
		for range 5 {
			<-answers
		}
		cancel()
	}()
	r := run(t, ctx, Config{Network: "unix", Address: address, Clients: 5, Mode: Kept,
		Think: 24 * time.Hour, Answered: func(w Who) { answers <- w }})
	counts{Requests: 5, Sent: 5, Answered: 5, Connections: 5}.check(t, r)
}

func TestRunThatSendsNothingIsAnError(t *testing.T) {
	l, err := New(Config{Network: "tcp", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := l.Run(ctx); !errors.Is(err, context.Canceled) || r.Check() == nil {
		t.Errorf("Run of nothing: %v, Check() = %v, want both errors", err, r.Check())
	}
}
