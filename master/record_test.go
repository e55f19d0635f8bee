package master

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// portrait tells, in words, what of a table must be the same after an adoption. It is
// made of the table alone, not of its record.
func portrait(t *table) string {
	var b strings.Builder
	fmt.Fprintln(&b, t.phase, t.generation, t.lastGen, t.lastWorker, t.scaledFrom, t.epoch.UnixNano(), t.monotonic, t.planned, t.cfg.Workers)
	for _, s := range t.slots {
		fmt.Fprintln(&b, "slot", s.index, s.failures, s.retryAt, s.restarts, listed(s.served))
		if e := s.lastExit; e != nil {
			fmt.Fprintln(&b, "last exit", e.code, e.signal, e.reason)
		}
		for _, w := range []*worker{s.current, s.next} {
			if w != nil {
				fmt.Fprintln(&b, "worker", w.id)
			}
		}
	}
	if r := t.reload; r != nil {
		fmt.Fprintln(&b, "reload", r.generation, r.slots, r.back, r.err, r.cfg.Workers, len(r.todo))
		for _, s := range r.todo {
			fmt.Fprintln(&b, "todo", s.index)
		}
	}
	if r := t.lastReload; r != nil {
		fmt.Fprintln(&b, "last reload", r.State, r.Error == nil, r.Ended == nil, r.Cut)
	}
	for _, id := range slices.Sorted(maps.Keys(t.workers)) {
		w := t.workers[id]
		fmt.Fprintln(&b, "worker", id, w.pid, w.slot.index, w.generation, w.cfg.Workers, w.state, w.want, w.since, w.readyAt, w.deadline,
			w.hungAt, w.signalled, w.why, w.refusal)
	}
	for _, l := range t.listeners {
		fmt.Fprintln(&b, "listener", l, l.fixed, l.passed, l.v6only, l.kept)
	}
	return b.String()
}

// portraitOf is portrait of what one worker has open.
func portraitOf(w *worker) string {
	var b strings.Builder
	fmt.Fprintln(&b, w.batch, w.saidReady, w.handedOver)
	for _, name := range slices.Sorted(maps.Keys(w.keys)) {
		k := w.keys[name]
		fmt.Fprintln(&b, name, string(k.quoted), k.asked, *k.query, k.port, k.listening, k.handle.name, k.handle.bound, listed(k.handle.listeners), len(k.seats))
	}
	return b.String()
}

func listed(all []*listener) []string {
	var names []string
	for _, l := range all {
		names = append(names, l.address.String())
	}
	return names
}

// fill gives every field below v a value of its own that is not zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
	case v.Type() == reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, 0, byte(*n)})))
	case v.Type() == reflect.TypeFor[json.RawMessage]():
		v.Set(reflect.ValueOf(json.RawMessage(fmt.Sprint(*n))))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case v.Kind() == reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(*n))
	case v.CanUint():
		v.SetUint(uint64(*n%100 + 1))
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	default:
		panic(fmt.Sprintf("a record has a field of type %v", v.Type()))
	}
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	for _, r := range []any{new(tableRecord), new(channelRecord), new(settings.Settings)} {
		n := 0
		fill(reflect.ValueOf(r).Elem(), &n)
		again := reflect.New(reflect.TypeOf(r).Elem()).Interface()
		if err := json.Unmarshal(encode(r), again); err != nil {
			t.Errorf("%T: %v", r, err)
		}
		if !reflect.DeepEqual(r, again) {
			t.Errorf("%T: read as %s, written as %s", r, encode(again), encode(r))
		}
	}
}

func TestARecordThatCannotBeUsedChangesNothing(t *testing.T) {
	s := kept(t)
	s.reload(nil)
	for name, spoil := range map[string]func(r *tableRecord){
		"settings that are none":             func(r *tableRecord) { r.Settings[1] = json.RawMessage(`{"Workers":"many"}`) },
		"settings of the service missing":    func(r *tableRecord) { r.Generation = 7 },
		"settings of the reload missing":     func(r *tableRecord) { r.Reload.Generation = 7 },
		"settings of a worker's own missing": func(r *tableRecord) { r.Workers[1].Generation = 7 },
	} {
		r := s.t.record()
		spoil(r)
		fresh := newStage(t, standard(3))
		fresh.web()
		before := portrait(fresh.t)
		if err := fresh.t.adopt(r, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := portrait(fresh.t); got != before {
			t.Errorf("%s: the table is\n%s\nand was\n%s", name, got, before)
		}
	}
}

// A worker with very many listeners, or long names, is not written down again and again.
func TestAWorkerWithTooMuchIsServedAndNotKept(t *testing.T) {
	for name, row := range map[string]struct {
		n    int
		long string
	}{"many": {maxRecorded + 1, ""}, "long": {40, strings.Repeat("l", 2000)}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, standard(1))
			s.turn(event{kind: evStart})
			p := s.peer(0)
			s.online(p, 0)
			for i := range row.n {
				s.asks(p, pipe(fmt.Sprintf("/run/%s%d", row.long, i)))
			}
			s.says(p, wire.Message{Kind: wire.Listening, Query: pipe("/run/" + row.long + "0"), Ack: -1})
			if got := len(s.mem.workers[p.id].record); got > 100 {
				t.Errorf("its record has %d bytes, want that it has too much, and no more", got)
			}
			s.arrive(s.t.listeners[0], 1)
			s.accepts(p)
			if s.t.count.HandedOver != 1 {
				t.Error("it is not served")
			}
			s.crash(aftermath{})
			s.pass(hush)
			if !p.told || s.said("listened on more than is kept") != 1 {
				t.Error("it was not told to leave, or the log does not say why")
			}
		})
	}
}
