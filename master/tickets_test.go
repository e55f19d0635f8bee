package master

import (
	"slices"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

// ticketsOf gives the keys that p was told since it was asked last.
func ticketsOf(t *testing.T, p *peer) [][]byte {
	t.Helper()
	if p.tickets == nil {
		t.Fatalf("worker %d was told no keys", p.id)
	}
	keys := p.tickets
	p.tickets = nil
	return keys
}

func TestWorkersThatShareTicketsHaveTheSameKeys(t *testing.T) {
	s := kept(t)
	peers := []*peer{s.peer(0), s.peer(1)}
	for _, p := range peers {
		s.says(p, wire.Message{Kind: wire.Tickets, Ack: -1})
	}
	first := ticketsOf(t, peers[0])
	if len(first) != 1 || len(first[0]) != wire.TicketKeySize || slices.Max(first[0]) == 0 {
		t.Fatalf("keys %x, want one of %d bytes that are not all zero", first, wire.TicketKeySize)
	}
	if got := ticketsOf(t, peers[1]); !slices.EqualFunc(got, first, slices.Equal) {
		t.Errorf("the second worker has %x, the first %x", got, first)
	}
	for day := 1; day <= 8; day++ {
		s.pass(ticketRotation)
		got := ticketsOf(t, peers[0])
		if want := min(day+1, 7); len(got) != want {
			t.Errorf("after %d days there are %d keys, want %d", day, len(got), want)
		}
		if slices.Equal(got[0], first[0]) || day < 7 != slices.ContainsFunc(got, func(k []byte) bool { return slices.Equal(k, first[0]) }) {
			t.Errorf("after %d days the first key of all is among %x, want it so for six, and in no first place", day, got)
		}
		if !slices.EqualFunc(got, ticketsOf(t, peers[1]), slices.Equal) {
			t.Errorf("after %d days the workers have different keys", day)
		}
	}
}

func TestTheNextMasterGoesOnWithTheKeysOfTickets(t *testing.T) {
	s := kept(t)
	p, other := s.peer(0), s.peer(1)
	s.says(p, wire.Message{Kind: wire.Tickets, Ack: -1})
	before := ticketsOf(t, p)
	s.crash(aftermath{})
	s.says(other, wire.Message{Kind: wire.Tickets, Ack: -1})
	if after := ticketsOf(t, other); !slices.EqualFunc(before, after, slices.Equal) {
		t.Errorf("the keys were %x, and are %x", before, after)
	}
	s.pass(ticketRotation)
	if got := ticketsOf(t, p); len(got) != 2 || !slices.Equal(got[1], before[0]) {
		t.Errorf("after a day the worker of the last master has %x, want a new key before %x", got, before)
	}
}
