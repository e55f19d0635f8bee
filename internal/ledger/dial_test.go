package ledger

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestConnectionsAndCountersOfAnotherNetwork(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) { p.goodOnce() })
	retries := uint64(40) // 41 and 42 at the ends of the run
	r := run(t, t.Context(), Config{
		Network: "tcp6", Address: "[2001:db8::1]:80", Clients: 2, Requests: 5, DialTimeout: time.Minute,
		Dial: func(ctx context.Context, network, asked string) (net.Conn, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Minute {
				t.Errorf("Dial's ctx ends at %v, %v, want within DialTimeout", deadline, ok)
			}
			if network != "tcp6" || asked != "[2001:db8::1]:80" {
				t.Errorf("Dial(%q, %q), want Network and Address", network, asked)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		Overflows: func() (Overflow, error) {
			retries++
			return Overflow{Retries: retries}, nil
		},
	})
	counts{Requests: 10, Sent: 10, Answered: 10, Connections: 10}.check(t, r)
	if r.SYNRetries != 1 {
		t.Errorf("SYNRetries = %d, want 1, of the given counters", r.SYNRetries)
	}
}

func TestFailureOfDialIsRefused(t *testing.T) {
	r := run(t, t.Context(), Config{
		Network: "tcp", Address: "x", Requests: 2,
		Dial:      func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("it is off") },
		Overflows: func() (Overflow, error) { return Overflow{}, errors.ErrUnsupported },
	})
	counts{Requests: 2, Sent: 2, Lost: 2}.check(t, r)
	r.checkClass(t, Refused, 2)
	if r.SYNRetries != -1 {
		t.Errorf("SYNRetries = %d, want -1 for unknown", r.SYNRetries)
	}
}
