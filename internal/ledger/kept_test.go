package ledger

import (
	"context"
	"testing"
)

// TestKeptConnectionClosedIdleIsRetriedOnce has connections that answer twice and
// then close in each way there is: 7 requests meet 3 such closes on 4 connections.
func TestKeptConnectionClosedIdleIsRetriedOnce(t *testing.T) {
	twoThen := func(then func(p *peer)) func(int, *peer) {
		return func(n int, p *peer) {
			p.goodOnce()
			p.goodOnce()
			then(p)
		}
	}
	for name, then := range map[string]func(p *peer){
		"when the next request was read": func(p *peer) { p.next() },
		"with most of it unread":         func(p *peer) { _, _ = p.Conn.Read(make([]byte, 1)) },
		"with a reset":                   func(p *peer) { p.next(); p.reset() },
		"at once after the answer":       func(p *peer) {},
		"at once with a reset":           func(p *peer) { p.reset() },
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, "tcp", twoThen(then))
			r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 7, Mode: Kept})
			counts{Requests: 7, Sent: 10, Answered: 7, ClosedIdle: 3, Connections: 4}.check(t, r)
			r.checkClass(t, ClosedIdle, 3)
			if r.Retried != 3 || r.ClosedIdleMax <= 0 || len(r.Failures) != 0 {
				t.Errorf("want 3 retried, with a wait, and no failure\n%s", r)
			}
		})
	}
}

func TestCancelledRunStillRetries(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := serve(t, "tcp", func(n int, p *peer) {
		p.goodOnce()
		p.next()
		cancel() // with the second request under way
	})
	r := run(t, ctx, Config{Network: "tcp", Address: address, Mode: Kept})
	counts{Requests: 2, Sent: 3, Answered: 2, ClosedIdle: 1, Connections: 2}.check(t, r)
}

func TestRetryThatIsDroppedIsLost(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		if n != 1 {
			p.goodOnce()
		}
		p.next()
	})
	// Answered, closed idle, the retry dropped; answered, closed idle, answered.
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 4, Mode: Kept})
	counts{Requests: 4, Sent: 6, Answered: 3, Lost: 1, ClosedIdle: 2, Connections: 4}.check(t, r)
	if r.Classes[Dropped] != 1 || r.Failures[0].ID != "0-0-1r" {
		t.Errorf("want the retry 0-0-1r dropped\n%s", r)
	}
}

func TestKeptConnectionThatEndsAfterAByteIsLost(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		p.goodOnce()
		if _, ok := p.next(); ok {
			p.say("H")
		}
	})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 4, Mode: Kept})
	counts{Requests: 4, Sent: 4, Answered: 2, Lost: 2, Connections: 2}.check(t, r)
	r.checkClass(t, Broken, 2)
	f := r.Failures[0]
	if f.Bytes != 1 || f.Before != 1 || f.Who != someone {
		t.Errorf("failure %+v, want 1 byte after 1 answer of %v", f, someone)
	}
}

func TestConnectionCloseIsRespected(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		p.goodOnce()
		if id, ok := p.next(); ok {
			p.say(answerTo(id, "Connection: close\r\n"))
		}
	})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 6, Mode: Kept})
	counts{Requests: 6, Sent: 6, Answered: 6, Connections: 3}.check(t, r)
}

func TestServersWordTellsInFlightFromIdle(t *testing.T) {
	// The first connection dies with a request in hand, the second is closed idle.
	address := serve(t, "tcp", func(n int, p *peer) {
		p.goodOnce()
		if n < 2 {
			p.next()
			return
		}
		p.good()
	})
	cfg := Config{Network: "tcp", Address: address, Requests: 4, Mode: Kept,
		Served: func(id string) int {
			if id == "0-0-2" {
				return 0
			}
			return 1
		}}
	r := run(t, t.Context(), cfg)
	counts{Requests: 4, Sent: 6, Answered: 4, Lost: 1, ClosedIdle: 1, Connections: 3}.check(t, r)
	if r.Classes[InFlight] != 1 || r.Failures[0].ID != "0-0-1" {
		t.Errorf("want 0-0-1 in flight\n%s", r)
	}
}

func TestCutIsWhatTheTestSaysItIs(t *testing.T) {
	for _, mode := range []Mode{Kept, PerRequest} {
		address := serve(t, "tcp", func(n int, p *peer) {
			id, _ := p.next()
			switch n {
			case 1:
				p.say(answerTo(id, "")[:40])
			case 2: // dropped
			case 3:
				p.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
			default:
				p.say(answerTo(id, "Connection: close\r\n"))
			}
		})
		var asked []Class
		r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 6, Mode: mode,
			Cut: func(f Failure) bool {
				asked = append(asked, f.Class)
				return f.Class == Broken && !f.Started.After(f.Ended)
			}})
		counts{Requests: 6, Sent: 6, Answered: 3, Lost: 2, Cut: 1, Connections: 6}.check(t, r)
		if len(asked) != 2 || asked[0] != Broken || asked[1] != Dropped {
			t.Errorf("asked of %v, want broken and dropped", asked)
		}
		if len(r.Failures) != 3 || r.Failures[0].Class != Cut {
			t.Errorf("want the cut told first\n%s", r)
		}
	}
}
