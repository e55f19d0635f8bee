package master

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// What the next master must know of a table, in two records: one of the whole, which
// is replaced at once, so that it is never half of one moment and half of another;
// and one of each worker's listeners. Instants stay what they are: the clock of the
// next master begins when that of this one did.
//
// Fields are only added. Another meaning is another state.Format.

// tableRecord is of the whole.
type tableRecord struct {
	Version    string                  `json:"version"` // that wrote it, for people
	Name       string                  `json:"name"`
	Epoch      time.Time               `json:"epoch"`
	Monotonic  int64                   `json:"monotonic"` // of the epoch, in nanoseconds
	Ready      bool                    `json:"ready"`     // READY was said
	Stopping   bool                    `json:"stopping,omitempty"`
	Planned    bool                    `json:"planned,omitempty"` // the master left for the next one: workers are to be replaced
	Handed     bool                    `json:"handed,omitempty"`  // the master made place for another program
	Env        string                  `json:"env,omitempty"`     // a hash of the environment of the generation
	Adopted    int                     `json:"adopted,omitempty"`
	Generation int                     `json:"generation"`
	LastGen    int                     `json:"last_generation"`
	LastWorker int                     `json:"last_worker"`
	ScaledFrom int                     `json:"scaled_from,omitempty"`
	Settings   map[int]json.RawMessage `json:"settings"` // by generation
	Slots      []slotRecord            `json:"slots"`
	Workers    []lifeRecord            `json:"workers"`
	Passed     string                  `json:"passed,omitempty"` // listeners, for people: lines of identity, tab, name; "" is not known
	Own        []ownRecord             `json:"own,omitempty"`
	Tickets    []ticketKey             `json:"tickets,omitempty"`
	Reload     *reloadRecord           `json:"reload,omitempty"`
	LastReload *Reload                 `json:"last_reload,omitempty"`
}

type slotRecord struct {
	Current  int         `json:"current,omitempty"` // id
	Next     int         `json:"next,omitempty"`
	Served   []string    `json:"served,omitempty"` // identities of listeners
	Failures int         `json:"failures,omitempty"`
	RetryAt  instant     `json:"retry_at,omitempty"`
	Restarts int         `json:"restarts,omitempty"`
	LastExit *exitRecord `json:"last_exit,omitempty"`
}

type exitRecord struct {
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
	Reason string `json:"reason"`
}

// pid is that of a worker, or 0 if it is not known, or r is nil.
func (r *tableRecord) pid(id int) int {
	if r == nil {
		return 0
	}
	i := slices.IndexFunc(r.Workers, func(life lifeRecord) bool { return life.ID == id })
	if i < 0 {
		return 0
	}
	return r.Workers[i].PID
}

// lifeRecord is where a worker is in its life.
type lifeRecord struct {
	ID         int         `json:"id"`
	PID        int         `json:"pid,omitempty"`
	Slot       int         `json:"slot"`
	Generation int         `json:"generation"`
	State      workerState `json:"state"`
	Want       want        `json:"want"`
	Since      instant     `json:"since"`
	ReadyAt    instant     `json:"ready_at,omitempty"`
	Deadline   instant     `json:"deadline,omitempty"`
	HungAt     instant     `json:"hung_at,omitempty"`
	Signalled  bool        `json:"signalled,omitempty"`
	Why        string      `json:"why,omitempty"`
	Refusal    string      `json:"refusal,omitempty"`
}

// ownRecord is a listener that we opened.
type ownRecord struct {
	Num     int        `json:"num"`
	Name    string     `json:"name,omitempty"`
	Fixed   bool       `json:"fixed,omitempty"`
	Network string     `json:"network"`
	IP      netip.Addr `json:"ip"`
	Port    int        `json:"port,omitempty"`
	V6Only  bool       `json:"v6only,omitempty"`
	Path    string     `json:"path,omitempty"`
	Handle  string     `json:"handle,omitempty"` // that it was opened for
	Unkept  bool       `json:"unkept,omitempty"` // only handed over
}

func (r *ownRecord) listener() *listener {
	return &listener{index: -1, name: r.Name, fixed: r.Fixed, kept: r.Num, handle: r.Handle, unkept: r.Unkept,
		address: address{network: r.Network, ip: r.IP, port: r.Port, v6only: r.V6Only, path: r.Path}}
}

type reloadRecord struct {
	Generation int    `json:"generation"`
	Todo       []int  `json:"todo"`
	Slots      int    `json:"slots"`
	Back       bool   `json:"back,omitempty"`
	Error      string `json:"error,omitempty"`
}

// channelRecord is what a worker has said that still counts.
type channelRecord struct {
	Batch     int         `json:"batch,omitempty"`
	SaidReady bool        `json:"said_ready,omitempty"`
	Tickets   bool        `json:"tickets,omitempty"`  // it shares them
	TooMuch   bool        `json:"too_much,omitempty"` // for a record: its worker is not to be taken over
	Keys      []keyRecord `json:"keys,omitempty"`
}

type keyRecord struct {
	Asked     int64           `json:"asked"` // seq of the query
	Query     *wire.Query     `json:"query"`
	Listeners []string        `json:"listeners"` // identities
	Port      int             `json:"port"`
	Listening bool            `json:"listening,omitempty"`
	Shared    bool            `json:"shared,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"` // secret
}

// identities names each listener that the next master has, too, for the records: by
// its address, which is what it is, and not by its name or place, which a unit may
// change; and by which one it is of those with one address.
func (t *table) identities() map[*listener]string {
	if !slices.EqualFunc(t.listeners, t.identifiedOf, func(l *listener, n keptListener) bool { return n == keptListener{l, l.kept} }) {
		t.identifiedOf, t.identified, t.passedOf = t.identifiedOf[:0], make(map[*listener]string, len(t.listeners)), nil
		seen := map[string]int{}
		for _, l := range t.listeners {
			t.identifiedOf = append(t.identifiedOf, keptListener{l, l.kept})
			if !l.passed && l.kept == 0 {
				continue
			}
			base := l.network + ":" + l.address.String()
			seen[base]++
			t.identified[l] = fmt.Sprintf("%s#%d", base, seen[base])
		}
	}
	return t.identified
}

// passed names the listeners that were passed, for people, by their identities: it
// changes when those do, and a record of a thousand is written for each event.
func (t *table) passed() string {
	if ids := t.identities(); t.passedOf == nil {
		var b strings.Builder
		for _, l := range t.listeners {
			if l.passed {
				fmt.Fprintf(&b, "%s\t%s\n", ids[l], l)
			}
		}
		names := b.String()
		t.passedOf = &names
	}
	return *t.passedOf
}

// passedNames gives what passed wrote, by identity.
func passedNames(text string) map[string]string {
	names := map[string]string{}
	for line := range strings.Lines(text) {
		identity, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		names[identity] = name
	}
	return names
}

// keptListener is what a listener's identity was made of that may change.
type keptListener struct {
	listener *listener
	kept     int
}

func identified(of map[*listener]string, list []*listener) []string {
	names := make([]string, 0, len(list))
	for _, l := range list {
		if name, ok := of[l]; ok {
			names = append(names, name)
		}
	}
	return names
}

// record gives what the next master must know of the whole.
func (t *table) record() *tableRecord {
	of := t.identities()
	r := &tableRecord{
		Version: Version, Name: t.cfg.Name, Epoch: t.epoch, Monotonic: t.monotonic,
		Ready: t.phase > starting, Stopping: t.phase >= settling && !t.leaving, Planned: t.planned, Handed: t.leaving && !t.planned,
		Env: t.env, Adopted: t.adoptions,
		Generation: t.generation, LastGen: t.lastGen, LastWorker: t.lastWorker, ScaledFrom: t.scaledFrom,
		Settings: map[int]json.RawMessage{}, LastReload: t.lastReload, Passed: t.passed(), Tickets: t.tickets, Slots: []slotRecord{}, Workers: []lifeRecord{},
	}
	r.Settings[t.generation] = t.encoded(t.cfg)
	for _, s := range t.slots {
		sr := slotRecord{Failures: s.failures, RetryAt: s.retryAt, Restarts: s.restarts, Served: identified(of, s.served)}
		if s.current != nil {
			sr.Current = s.current.id
		}
		if s.next != nil {
			sr.Next = s.next.id
		}
		if e := s.lastExit; e != nil {
			sr.LastExit = &exitRecord{e.code, e.signal, e.reason}
		}
		r.Slots = append(r.Slots, sr)
	}
	for _, id := range slices.Sorted(maps.Keys(t.workers)) {
		w := t.workers[id]
		r.Settings[w.generation] = t.encoded(w.cfg)
		r.Workers = append(r.Workers, lifeRecord{ID: id, PID: w.pid, Slot: w.slot.index, Generation: w.generation,
			State: w.state, Want: w.want, Since: w.since, ReadyAt: w.readyAt, Deadline: w.deadline, HungAt: w.hungAt,
			Signalled: w.signalled, Why: w.why, Refusal: w.refusal})
	}
	for _, l := range t.listeners {
		if l.kept != 0 {
			r.Own = append(r.Own, ownRecord{l.kept, l.name, l.fixed, l.network, l.ip, l.port, l.v6only, l.path, l.handle, l.unkept})
		}
	}
	if t.reload != nil {
		r.Settings[t.reload.generation] = t.encoded(t.reload.cfg)
		r.Reload = t.reload.record()
	}
	return r
}

func (r *reload) record() *reloadRecord {
	rec := &reloadRecord{Generation: r.generation, Slots: r.slots, Back: r.back, Todo: []int{}}
	for _, s := range r.todo {
		rec.Todo = append(rec.Todo, s.index)
	}
	if r.err != nil {
		rec.Error = r.err.Error()
	}
	return rec
}

// encoded is cfg as text, which does not change.
func (t *table) encoded(cfg *settings.Settings) json.RawMessage {
	if text, ok := t.texts[cfg]; ok {
		return text
	}
	if len(t.texts) > 16 || t.texts == nil { // those of generations that have gone, too
		t.texts = map[*settings.Settings]json.RawMessage{}
	}
	t.texts[cfg] = encode(cfg)
	return t.texts[cfg]
}

func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("master: a record cannot be written: %v", err)) // it holds nothing that could not
	}
	return text
}

// What a worker has open is written anew whenever that changes. One that has more
// than this is served like any other, and replaced when its master is.
const (
	maxRecorded      = 128      // keys
	maxRecordedBytes = 64 << 10 // in their names and data
)

// record gives what w has said that still counts.
func (w *worker) record(of map[*listener]string) *channelRecord {
	r := &channelRecord{Batch: w.batch, SaidReady: w.saidReady, Tickets: w.tickets}
	bytes := 0
	for name, k := range w.keys {
		bytes += len(name) + len(k.handle.data)
	}
	if len(w.keys) > maxRecorded || bytes > maxRecordedBytes {
		return &channelRecord{TooMuch: true}
	}
	for _, name := range slices.Sorted(maps.Keys(w.keys)) {
		k := w.keys[name]
		r.Keys = append(r.Keys, keyRecord{Asked: k.asked, Query: k.query, Listeners: identified(of, k.handle.listeners),
			Port: k.port, Listening: k.listening, Shared: k.shared, Data: k.handle.data})
	}
	return r
}
