package master

import (
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"github.com/rondokit/rondo/internal/wire"
)

// Keys of TLS session tickets (RFC 8446, 4.6.1) that all Go workers share, so that a
// session is resumed on any of them. They change as those of crypto/tls do that one
// process makes for itself.
const (
	ticketRotation = 24 * time.Hour
	ticketLifetime = 7 * 24 * time.Hour // of a session
)

// ticketKey is one of them.
type ticketKey struct {
	Secret []byte  `json:"secret"`
	Made   instant `json:"made"`
}

// sharesTickets gives w the keys, now and whenever they change.
func (t *table) sharesTickets(w *worker) {
	w.tickets = true
	if len(t.tickets) == 0 {
		t.newTicketKey()
	}
	t.tellTickets(w)
}

// tickTickets changes the key once a day. The new one is in the record before any worker
// has it.
func (t *table) tickTickets() {
	if len(t.tickets) == 0 {
		return
	}
	if t.now >= t.tickets[0].Made.add(ticketRotation) {
		t.newTicketKey()
		t.changed = true
		for _, id := range slices.Sorted(maps.Keys(t.workers)) {
			if w := t.workers[id]; w.tickets {
				t.tellTickets(w)
			}
		}
	}
	t.arm(t.tickets[0].Made.add(ticketRotation))
}

// newTicketKey makes the key that tickets are encrypted with from now on, and forgets
// those that only sessions have that are too old.
func (t *table) newTicketKey() {
	key := ticketKey{Secret: make([]byte, wire.TicketKeySize), Made: t.now}
	rand.Read(key.Secret) // it never fails
	old := slices.DeleteFunc(t.tickets, func(k ticketKey) bool { return t.now >= k.Made.add(ticketLifetime) })
	t.tickets = append([]ticketKey{key}, old...)
	t.arm(key.Made.add(ticketRotation))
}

func (t *table) tellTickets(w *worker) {
	keys := make([][]byte, 0, len(t.tickets))
	for _, k := range t.tickets {
		keys = append(keys, k.Secret)
	}
	t.line(w, wire.AppendTicketKeys(nil, w.nextSeq(), keys))
}
