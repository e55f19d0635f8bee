package master

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// serves gives the listeners, by address, from which p is served for q; "none" when
// it has that key and no listener, nothing when it has not.
func (s *stage) serves(p *peer, q *wire.Query) string {
	s.tb.Helper()
	w := s.worker(p)
	k := w.keys[handleName(q)]
	if k == nil {
		return ""
	}
	var names []string
	for _, l := range k.handle.listeners {
		if i := w.slot.index; i >= len(l.ring) || l.ring[i] == nil || l.ring[i].key.worker != w {
			s.tb.Fatalf("%s listens on %s, and gets nothing from it", w, l)
		}
		names = append(names, l.address.String())
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, " ")
}

func TestSocketsThatChangedBetweenCrashAndAdoption(t *testing.T) {
	const gone = "was not passed again"
	web, alt := func() *listener { return tcp("web", "[::]:80") }, func() *listener { return tcp("alt", "[::]:81") }
	for _, row := range []struct {
		name    string
		before  sockets
		query   *wire.Query
		after   sockets
		adopted string // what the worker is served from
		next    string // what the next one is that asks
		errno   unix.Errno
		said    string
	}{
		{name: "none", before: sockets{web(), alt()}, query: port(80), after: sockets{web(), alt()}, adopted: "[::]:80", next: "[::]:80"},
		{name: "one more for the same port", before: sockets{web()}, query: port(80), after: sockets{tcp("local", "127.0.0.1:80"), web()},
			adopted: "127.0.0.1:80 [::]:80", next: "127.0.0.1:80 [::]:80"},
		{name: "one more for another port", before: sockets{web()}, query: port(80), after: sockets{web(), alt()},
			adopted: "[::]:80", next: "[::]:80", said: "no worker listens on it"},
		{name: "one less for the same port", before: sockets{web(), tcp("local", "127.0.0.1:80")}, query: port(80), after: sockets{web()},
			adopted: "[::]:80", next: "[::]:80"},
		{name: "removed", before: sockets{web()}, query: port(80), after: sockets{alt()}, adopted: "none", errno: unix.EADDRNOTAVAIL, said: gone},
		{name: "one instead of another, for the same port", before: sockets{tcp("local", "127.0.0.1:80")}, query: port(80), after: sockets{web()},
			adopted: "[::]:80", next: "[::]:80"},
		{name: "a wider one instead of that of the address", before: sockets{tcp("local", "127.0.0.1:80")}, query: at("127.0.0.1", 80), after: sockets{web()},
			adopted: "none", errno: unix.EADDRNOTAVAIL, said: gone},
		{name: "renamed, asked for by port", before: sockets{web()}, query: port(80), after: sockets{tcp("www", "[::]:80")}, adopted: "[::]:80", next: "[::]:80"},
		{name: "renamed, asked for by name", before: sockets{web()}, query: named("web"), after: sockets{tcp("www", "[::]:80")}, adopted: "[::]:80", next: "[::]:80"},
		{name: "names exchanged", before: sockets{web(), alt()}, query: named("web"), after: sockets{tcp("alt", "[::]:80"), tcp("web", "[::]:81")},
			adopted: "[::]:81", next: "[::]:81"},
		{name: "of one name, one more", before: sockets{web()}, query: named("web"), after: sockets{web(), tcp("web", "[::]:81")},
			adopted: "[::]:80 [::]:81", next: "[::]:80 [::]:81"},
		{name: "of one name, one of another kind", before: sockets{web()}, query: named("web"), after: sockets{web(), ux("web", "/run/web")},
			adopted: "[::]:80", next: "[::]:80"},
		{name: "reordered, asked for by number", before: sockets{web(), alt()}, query: fd(3), after: sockets{alt(), web()}, adopted: "[::]:80", next: "[::]:81"},
		{name: "reordered, asked for by port", before: sockets{web(), alt()}, query: port(80), after: sockets{alt(), web()}, adopted: "[::]:80", next: "[::]:80"},
		{name: "one before it removed, asked for by number", before: sockets{alt(), web()}, query: fd(4), after: sockets{web()}, adopted: "[::]:80", next: "[::]:80"},
		{name: "removed, asked for by number, and its number is another's", before: sockets{web(), alt()}, query: fd(3), after: sockets{alt()},
			adopted: "none", next: "[::]:81", said: gone},
		{name: "mapped otherwise", before: sockets{mapped(t, web(), "80=3000"), alt()}, query: port(3000), after: sockets{web(), mapped(t, alt(), "81=3000")},
			adopted: "[::]:81", next: "[::]:81"},
		{name: "mapped no more", before: sockets{mapped(t, web(), "80=3000")}, query: port(3000), after: sockets{web()}, adopted: "[::]:80", next: "[::]:80"},
		{name: "mapped now", before: sockets{web(), alt()}, query: port(80), after: sockets{web(), mapped(t, alt(), "81=80")}, adopted: "[::]:81", next: "[::]:81"},
		{name: "unix", before: sockets{ux("web", "/run/web")}, query: pipe("/run/web"), after: sockets{web(), ux("www", "/run/web")},
			adopted: "unix:/run/web", next: "unix:/run/web"},
		{name: "unix, moved", before: sockets{ux("web", "/run/web")}, query: pipe("/run/web"), after: sockets{ux("web", "/run/www")},
			adopted: "none", errno: unix.EADDRNOTAVAIL, said: gone},
		{name: "unix, moved, asked for by name", before: sockets{ux("web", "/run/web")}, query: named("web"), after: sockets{ux("web", "/run/www")},
			adopted: "unix:/run/www", next: "unix:/run/www"},
		{name: "unix, abstract", before: sockets{ux("web", "@web")}, query: pipe("/srv/\x00web"), after: sockets{ux("web", "@web")},
			adopted: "unix:@web", next: "unix:@web"},
		{name: "of IPv6 alone", before: sockets{v6only(web()), tcp("four", "0.0.0.0:80")}, query: only6(80), after: sockets{tcp("four", "0.0.0.0:80"), v6only(web())},
			adopted: "[::]:80", next: "[::]:80"},
		{name: "one of two of one address", before: sockets{web(), web()}, query: port(80), after: sockets{web()}, adopted: "[::]:80", next: "[::]:80"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := standard(1)
			cfg.Ready = settings.ReadyFirst
			s := newStage(t, cfg)
			s.strict = true
			for _, l := range row.before {
				s.add(l)
			}
			s.turn(event{kind: evStart})
			p := s.peer(0)
			s.opens(p, 0, row.query)
			s.crash(aftermath{sockets: func([]*listener) []*listener { return row.after }})
			s.accepts(p) // the probe
			for range 2 {
				if got := s.serves(p, row.query); got != row.adopted {
					t.Errorf("the adopted worker is served from %q, want %q", got, row.adopted)
				}
			}
			if row.said != "" && s.said(row.said) != 1 || row.said != gone && s.said(gone) > 0 {
				t.Errorf("the log says %q %d times, and that a socket %s %d times", row.said, s.said(row.said), gone, s.said(gone))
			}
			s.turn(event{kind: evScale, n: 2})
			next := s.newest()
			s.online(next, 0)
			if s.asks(next, row.query) != "" {
				s.listens(next, row.query)
			}
			if got := s.serves(next, row.query); got != row.next || next.errno != row.errno {
				t.Errorf("the next one is served from %q, errno %v, want %q, %v", got, next.errno, row.next, row.errno)
			}
			if got := s.serves(p, row.query); got != row.adopted {
				t.Errorf("beside it the adopted worker is served from %q, want %q", got, row.adopted)
			}
			s.exits(p, exit{reason: "exited with code 0"}) // what they share stays
			if got := s.serves(next, row.query); got != row.next {
				t.Errorf("without it the next one is served from %q, want %q", got, row.next)
			}
		})
	}
}

// A socket of two workers that is gone is named once, and a reload heals what can be.
func TestAReloadMakesWorkersAskForWhatThereIs(t *testing.T) {
	s := kept(t)
	s.crash(aftermath{sockets: func([]*listener) []*listener { return []*listener{tcp("alt", "[::]:81")} }})
	if n := s.said("was not passed again"); n != 1 {
		t.Errorf("the log says it %d times, want once", n)
	}
	s.everyoneAccepts()
	s.queries = []*wire.Query{port(81)}
	s.reload(nil)
	s.calm()
	s.expectGenerations(t, "after a reload with a program that listens on it", 2, 2)
	s.arrive(s.t.listeners[0], 2)
	s.calm()
	if got := s.t.count.HandedOver; got != 2 {
		t.Errorf("%d connections handed over, want 2", got)
	}
}

func TestASocketThatWasAddedIsWarnedAboutWhenTheWorkersOfTheRestartLeaveItAlone(t *testing.T) {
	const unasked = "no worker listens on it"
	for _, row := range []struct {
		queries []*wire.Query
		said    int
	}{{[]*wire.Query{port(80), port(81)}, 0}, {[]*wire.Query{port(80)}, 1}} {
		s := kept(t)
		s.turn(event{kind: evLeave, n: 1})
		s.crash(aftermath{sockets: func(l []*listener) []*listener { return append(l, tcp("alt", "[::]:81")) }})
		if s.said(unasked) > 0 {
			t.Error("it is warned about before the workers come that may listen on it")
		}
		s.queries = row.queries
		s.calm()
		if got := s.said(unasked); got != row.said {
			t.Errorf("workers that listen on %v: warned %d times, want %d", row.queries, got, row.said)
		}
	}
}

// What a worker has had us open outlives the master with its workers, and without.
func TestListenersOfOurOwnAreKept(t *testing.T) {
	asked := []*wire.Query{port(8080), port(0), pipe("/run/own"), only6(8443), {Port: 0, Type: wire.IPv4, FD: -1, Index: 1}}
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all gone %v", all), func(t *testing.T) {
			s := newStage(t, standard(2))
			s.queries, s.strict = asked, true
			s.turn(event{kind: evStart})
			for _, p := range s.starting() {
				s.opens(p, 0, asked...)
			}
			before := s.t.names()
			a := aftermath{gone: []*peer{s.peers[1]}}
			if all {
				a.gone = append(a.gone, s.peers[2])
			}
			s.did = nil
			s.crash(a)
			if got := s.t.names(); got != before {
				t.Errorf("listeners %q, want %q", got, before)
			}
			s.waiting[s.t.listeners[1]] = 3
			s.calm()
			s.expect(t, "the next workers listen", "bind unbind")
			if got := s.t.names(); got != before {
				t.Errorf("in the end listeners %q, want %q", got, before)
			}
			if s.t.count.HandedOver != 3 {
				t.Errorf("%d connections handed over, want those 3 that waited meanwhile", s.t.count.HandedOver)
			}
			for _, p := range s.peers {
				for _, key := range slices.Clone(p.keys) {
					s.says(p, wire.Message{Kind: wire.Close, Key: key, Ack: -1})
				}
			}
			if n := len(s.t.listeners); n != 0 {
				t.Errorf("every worker has closed them, and %d are left", n)
			}
		})
	}
}

// One that --listen had us open stays, also when nobody listens on it.
func TestAFixedListenerOfOurOwnIsKept(t *testing.T) {
	s := newStage(t, standard(1))
	s.queries = []*wire.Query{port(80)}
	l := s.tcp("web", "[::]:80")
	l.index, l.passed, l.kept = -1, false, 1
	s.mem.own[1], s.lastOwn = true, 1
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(80))
	s.crash(aftermath{gone: []*peer{s.peer(0)}})
	s.did = nil
	s.calm()
	s.expect(t, "the next worker listens", "bind unbind")
	if got := s.t.listeners; len(got) != 1 || !got[0].fixed || got[0].passed || got[0].name != "web" {
		t.Errorf("listeners %+v, want the one that was", got)
	}
}

// A listener that the record does not name yet, and a key that names it already: the
// master was killed between the two records. The worker asks again, as its line is read again.
func TestAKeyWithoutItsListenerIsGrantedAnew(t *testing.T) {
	s := newStage(t, standard(1))
	s.queries, s.strict = []*wire.Query{port(8080)}, true
	s.turn(event{kind: evStart})
	p := s.peer(0)
	s.online(p, 0)
	torn := func() bool {
		return strings.Contains(string(s.mem.workers[p.id].record), "8080") && !strings.Contains(string(s.mem.record), "8080")
	}
	if !s.killedWhen(torn, func() { s.asks(p, port(8080)) }) {
		t.Fatal("it was not killed")
	}
	s.mem.own = map[int]bool{} // no record names it: it is closed
	s.did = nil
	s.crash(aftermath{})
	s.expect(t, "adopted", "bind", "bind :8080")
	if len(p.keys) != 1 {
		t.Fatalf("the worker got the keys %q, want one", p.keys)
	}
	s.calm()
	s.arrive(s.t.listeners[0], 1)
	if got := p.given(); len(got) != 1 {
		t.Errorf("it is given %v, want one connection", got)
	}
}

func TestTheDataOfTLSServersIsKept(t *testing.T) {
	keys := func(s string) *wire.Query {
		q := port(80)
		if s != "" {
			q.Data = json.RawMessage(`{"ticketKeys":"` + s + `"}`)
		}
		return q
	}
	for name, asked := range map[string][]*wire.Query{
		"of the first asker":  {keys("aa"), keys("bb")},
		"of the second asker": {keys(""), keys("aa")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, standard(2))
			s.web()
			s.turn(event{kind: evStart})
			for i, p := range s.starting() {
				s.opens(p, 0, asked[i])
			}
			for range 2 {
				s.crash(aftermath{})
				s.everyoneAccepts()
			}
			s.dies(s.peer(1))
			s.pass(time.Second)
			s.opens(s.peer(1), 0, keys("cc"))
			if got, want := s.peer(1).data, `{"ticketKeys":"aa"}`; got != want {
				t.Errorf("the next worker got the data %s, want %s", got, want)
			}
			if strings.Contains(s.log.String(), "ticketKeys") {
				t.Error("it is in the log")
			}
		})
	}
}

func TestSocketsThatChangedAreSaid(t *testing.T) {
	web, alt, local := func() *listener { return tcp("web", "[::]:80") }, func() *listener { return tcp("alt", "[::]:81") }, func() *listener { return ux("local", "/run/web") }
	const (
		added   = "level=INFO msg=\"sockets were passed that the last master did not have\" listener="
		renamed = "level=INFO msg=\"sockets were passed under other names than before\" listener="
		gone    = "level=WARN msg=\"sockets that the last master had were not passed again, and are served no more\" listener="
	)
	for _, row := range []struct {
		name  string
		after sockets
		old   bool // the last master did not keep what it was passed
		said  []string
	}{
		{name: "none", after: sockets{web(), alt()}},
		{name: "reordered", after: sockets{alt(), web()}},
		{name: "more", after: sockets{web(), local(), alt(), web()}, said: []string{added + "\"web@[::]:80, local@unix:/run/web\""}},
		{name: "less", after: sockets{alt()}, said: []string{gone + "web@[::]:80"}},
		{name: "renamed", after: sockets{tcp("www", "[::]:80"), alt()}, said: []string{renamed + "\"web@[::]:80 is www@[::]:80\""}},
		{name: "all", after: sockets{local(), tcp("www", "[::]:80")},
			said: []string{added + "local@unix:/run/web", renamed + "\"web@[::]:80 is www@[::]:80\"", gone + "alt@[::]:81"}},
		{name: "all, after an old master", after: sockets{local(), tcp("www", "[::]:80")}, old: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, standard(1))
			s.add(web())
			s.add(alt())
			s.turn(event{kind: evStart})
			s.opens(s.peer(0), 0, port(80))
			if row.old {
				s.mem.record = []byte(strings.Replace(string(s.mem.record), `"passed":`, `"other":`, 1))
			}
			s.crash(aftermath{sockets: func([]*listener) []*listener { return row.after }})
			if got := s.said("sockets "); got != len(row.said) {
				t.Errorf("the log says %d times of sockets, want %d:\n%s", got, len(row.said), s.log.String())
			}
			for _, want := range row.said {
				if s.said(want+"\n") != 1 {
					t.Errorf("want %q in the log:\n%s", want, s.log.String())
				}
			}
		})
	}
}
