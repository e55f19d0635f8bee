package master

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// As in Node: the master opens what the first worker asks for, and the others share it.
func TestWithoutPassedSocketsTheMasterBindsWhatWorkersAskFor(t *testing.T) {
	s := newStage(t, standard(2))
	s.turn(event{kind: evStart})
	s.took()
	s.opens(s.peer(0), 0, port(8080))
	s.expect(t, "the first asks", "bind poll", "bind :8080", "poll [::]:8080 true")
	s.opens(s.peer(1), 0, port(8080))
	s.expect(t, "the second asks", "bind poll")
	s.arrive(s.t.listeners[0], 2)
	s.expect(t, "two connections", "send", "send 1 [102]", "send 2 [103]")
}

func TestAnyPortIsTheSameForAllWorkersAndAnotherOneEachTime(t *testing.T) {
	s := newStage(t, standard(2))
	s.web() // port 0 is bound also beside passed sockets
	s.turn(event{kind: evStart})
	first, second := port(0), port(0)
	second.Index = 1
	var ports []int
	for i := range 2 {
		s.online(s.peer(i), 0)
		for _, q := range []*wire.Query{first, second} {
			s.asks(s.peer(i), q)
			s.listens(s.peer(i), q)
			ports = append(ports, s.peer(i).name.Port)
		}
	}
	if ports[0] != ports[2] || ports[1] != ports[3] || ports[0] == ports[1] {
		t.Errorf("the workers got the ports %v, want the same two", ports)
	}
	if s.t.phase != serving {
		t.Errorf("the phase is %v, want %v", s.t.phase, serving)
	}
}

func TestBesidePassedSocketsTheMasterBindsOnlyIfItIsTold(t *testing.T) {
	for _, bind := range []bool{false, true} {
		cfg := standard(1)
		cfg.Bind = bind
		s := newStage(t, cfg)
		s.web()
		s.turn(event{kind: evStart})
		s.online(s.peer(0), 0)
		for _, row := range []struct {
			query *wire.Query
			bound bool
		}{{port(8080), bind}, {pipe("/x"), bind}, {port(80), false}, {fd(4), false}, {named("x"), false}} {
			s.took()
			s.asks(s.peer(0), row.query)
			if got := len(s.took("bind")) == 1; got != row.bound {
				t.Errorf("bind %v: %s is bound %v, want %v", bind, row.query, got, row.bound)
			}
		}
	}
}

func TestABindErrorIsTheWorkersOwn(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	s.online(s.peer(0), 0)
	s.bindErr = unix.EACCES
	q := port(80)
	q.Data = []byte(`{"ticketKeys":"00"}`)
	s.asks(s.peer(0), q)
	if p := s.peer(0); p.errno != unix.EACCES || p.data != string(q.Data) {
		t.Errorf("answered with %v and %s, want %v and its data", p.errno, p.data, unix.EACCES)
	}
	if len(s.t.handles) != 0 || len(s.t.listeners) != 0 {
		t.Errorf("kept are %d handles and %d listeners, want none", len(s.t.handles), len(s.t.listeners))
	}
	s.opens(s.peer(0), 0, port(80)) // the next time it may work
}

func TestWhatWeBoundClosesWithTheLastWorkerThatClosesIt(t *testing.T) {
	s := newStage(t, standard(2))
	s.turn(event{kind: evStart})
	for _, p := range s.starting() {
		s.opens(p, 0, port(8080), port(8081))
	}
	l := s.t.listeners[1]
	s.arrive(l, 9) // eight sent, and one in the kernel
	s.refuses(s.peer(1))
	s.took()
	close := func(p *peer) {
		delete(s.taken, 101)
		s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[1], Ack: -1})
	}
	close(s.peers[1])
	s.expect(t, "one closed it", "unbind")
	close(s.peers[2])
	s.expect(t, "both did", "unbind close", "close 104", "unbind [::]:8081")
	s.refuses(s.peers[1]) // as a worker does when the listener is closed
	s.expect(t, "what was under way is refused", "send close", "close 103")
	s.says(s.peers[1], wire.Message{Kind: wire.HandleNack, Ack: -1})
	s.peers[1].owed = s.peers[1].owed[1:]
	s.expect(t, "or did not arrive", "send close", "close 105")
	if s.state(0) != wReady || len(s.t.handles) != 1 {
		t.Errorf("the worker is %v, %d handles are kept, want %v and 1", s.state(0), len(s.t.handles), wReady)
	}
	q := port(8081)
	s.opens(s.peers[1], 0, q) // and it may be opened anew
	if got := len(s.t.listeners); got != 2 {
		t.Errorf("%d listeners, want 2", got)
	}
}

func TestWhatWeBoundOutlivesACrash(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(8080), port(0))
	ports := s.peer(0).name.Port
	s.took()
	s.dies(s.peer(0))
	s.pass(time.Second)
	s.opens(s.peer(0), 0, port(8080), port(0))
	s.expect(t, "the worker died, and the next one listens", "bind unbind")
	if got := s.peer(0).name.Port; got != ports {
		t.Errorf("any port is %d now, want %d as before", got, ports)
	}
}

// Nobody answers there any more: a client is refused, and does not wait for ever.
func TestWhatWeBoundClosesWhenEverySuccessorDoesWithout(t *testing.T) {
	cfg := standard(2)
	cfg.Ready = settings.ReadyFirst
	s := newStage(t, cfg)
	s.turn(event{kind: evStart})
	for _, p := range s.starting() {
		s.opens(p, 0, port(8080), port(8081))
	}
	s.reload(func(c *settings.Settings) { c.MaxDraining = 10 })
	s.ready8080()
	s.ready8080()
	s.took()
	s.says(s.peers[1], wire.Message{Kind: wire.Close, Key: s.peers[1].keys[1], Ack: -1})
	s.expect(t, "one old worker has it open", "unbind")
	s.exits(s.peers[2], exit{reason: "exited with code 0"})
	s.expect(t, "none has", "unbind", "unbind [::]:8081")
	if got := len(s.t.listeners); got != 1 {
		t.Errorf("%d listeners are left, want 1", got)
	}
}

func (s *stage) ready8080() { s.tb.Helper(); s.opens(s.newest(), 0, port(8080)) }

func TestWhatListenSaysIsNeverClosed(t *testing.T) {
	s := newStage(t, standard(1))
	l := tcp("", "[::]:8080")
	l.index, l.fixed = -1, true // bound for --listen 8080
	s.t.listeners = append(s.t.listeners, l)
	s.turn(event{kind: evStart})
	p := s.peer(0)
	s.opens(p, 0, port(8080))
	s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[0], Ack: -1})
	s.says(p, wire.Message{Kind: wire.Exited, Ack: -1})
	s.exits(p, exit{reason: "exited with code 0"})
	s.expect(t, "its last worker has left", "unbind")
}

// What a refused worker is told must work: each remedy is read back as a --listen.
func TestTheRemedyServesTheQuery(t *testing.T) {
	for _, row := range []struct {
		name    string
		sockets sockets
		query   *wire.Query
		want    string // the LISTEN
	}{
		{"a port, one socket", sockets{tcp("web", "[::]:80")}, port(3000), "fd:web=3000"},
		{"a port at an address", sockets{tcp("web", "[::]:80")}, at("127.0.0.1", 3000), "fd:web=127.0.0.1:3000"},
		{"a port at an IPv6 address", sockets{tcp("web", "[::]:80")}, at("::1", 3000), "fd:web=[::1]:3000"},
		{"any address", sockets{tcp("web", "[::]:80")}, at("0.0.0.0", 3000), "fd:web=3000"},
		{"a path, one socket", sockets{ux("web", "/run/web")}, pipe("/tmp/app.sock"), "fd:web=/tmp/app.sock"},
		{"a path, from a port", sockets{tcp("web", "[::]:80")}, pipe("/tmp/app.sock"), "fd:web=/tmp/app.sock"},
		{"a socket without a name", sockets{tcp("", "127.0.0.1:80")}, port(3000), "127.0.0.1:80=3000"},
		{"a socket whose name is not known", sockets{tcp("unknown", "[::]:80")}, port(3000), "[::]:80=3000"},
		{"a path without a name", sockets{ux("unknown", "/run/web")}, pipe("/tmp/app.sock"), "unix:/run/web=/tmp/app.sock"},
		{"the socket of the same kind", sockets{ux("web", "/run/web"), tcp("http", "[::]:80")}, port(3000), "fd:http=3000"},
		{"a name that sockets of both kinds have", sockets{ux("web", "/run/web"), tcp("web", "[::]:80")}, port(3000), "[::]:80=3000"},
		{"a name that two of a kind have", sockets{tcp("web", "0.0.0.0:80"), tcp("web", "[::1]:80")}, port(3000), "fd:web=3000"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, standard(1))
			for _, l := range row.sockets {
				fresh := *l
				s.add(&fresh)
			}
			got := s.t.remedy(row.query)
			_, rest, _ := strings.Cut(got, "--listen ")
			listen, _, _ := strings.Cut(rest, ";")
			if listen != row.want {
				t.Errorf("the remedy is %q, want it to name --listen %s", got, row.want)
			}
			for _, l := range s.t.listeners {
				if !strings.Contains(got, l.String()) {
					t.Errorf("the remedy is %q, want it to list %s", got, l)
				}
			}
			spec, err := settings.ParseListen(listen)
			if err != nil {
				t.Fatalf("ParseListen(%q): %v", listen, err)
			}
			if err := s.t.configure([]settings.Listen{spec}); err != nil {
				t.Fatalf("configure(%q): %v", listen, err)
			}
			if found, err := match(s.t.listeners, row.query); len(found) == 0 || err != nil {
				t.Errorf("with --listen %s the query finds %v, %v, want a socket", listen, found, err)
			}
		})
	}
}

func TestTheRemedyNamesTheSocketThatNobodyServes(t *testing.T) {
	s := newStage(t, standard(1))
	s.web()
	s.tcp("alt", "[::]:81")
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(80))
	if got := s.t.remedy(port(3000)); !strings.Contains(got, "--listen fd:alt=3000;") {
		t.Errorf("the remedy is %q, want --listen fd:alt=3000", got)
	}
	s.asks(s.peer(0), port(0))
	own := s.t.listeners[2]
	if got := s.t.remedy(port(3000)); strings.Contains(got, own.String()) {
		t.Errorf("the remedy is %q, and %s is the master's own", got, own)
	}
}

func TestWhereNoListenHelpsTheRemedyHasNone(t *testing.T) {
	for _, row := range []struct {
		passed bool
		query  *wire.Query
		want   string
	}{
		{true, fd(7), "no such socket was passed; passed are: web@[::]:80"},
		{true, named("x"), "no such socket was passed; passed are: web@[::]:80"},
		{false, fd(3), "no such socket was passed; no sockets were passed"},
		{true, pipe("/cwd/\x00abc"), "the init system passed no socket for it; passed are: web@[::]:80; to open it here: --bind"},
	} {
		s := newStage(t, standard(1))
		if row.passed {
			s.web()
		}
		if got := s.t.remedy(row.query); got != row.want {
			t.Errorf("the remedy for %s is %q, want %q", row.query, got, row.want)
		}
	}
}

func TestAListenThatMeansNoPassedSocketIsAnError(t *testing.T) {
	s := newStage(t, standard(1))
	l := s.web()
	s.add(ux("app", "/run/app"))
	specs := func(text ...string) (all []settings.Listen) {
		for _, one := range text {
			spec, err := settings.ParseListen(one)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, spec)
		}
		return all
	}
	if err := s.t.configure(specs("80=3000", "[::]:80=3001", "fd:web=3002", "unix:/run/app=3003")); err != nil {
		t.Errorf("configure = %v, want nil", err)
	}
	if got := len(l.wants); got != 3 {
		t.Errorf("the socket has %d wants, want 3", got)
	}
	err := s.t.configure(specs("81", "fd:x=1", "unix:/run/x", "127.0.0.1:80=1", "udp:80"))
	if err == nil || len(strings.Split(err.Error(), "\n")) != 5 || !strings.Contains(err.Error(), "passed are: web@[::]:80, app@unix:/run/app") {
		t.Errorf("configure = %v, want an error for each, that lists what was passed", err)
	}
}

// By name they are of two kinds only when they are there.
func TestPassedSocketsOfTwoKindsAreNotMappedToOneAddress(t *testing.T) {
	for text, refused := range map[string]bool{
		"fd:web=3000 fd:app=3000":           true,
		"fd:both=3000":                      true,
		"fd:web=/x fd:app=/x":               true,
		"80=3000 fd:app=127.0.0.1:3000":     true,
		"fd:web=3000 fd:app=3001":           false,
		"fd:web=3000 fd:app=/run/app":       false,
		"fd:web=3000 80=3000 [::1]:81=3000": false,
	} {
		s := newStage(t, standard(1))
		for _, l := range []*listener{tcp("web", "[::]:80"), ux("app", "/run/app"), tcp("both", "[::1]:81"), ux("both", "/run/both")} {
			s.add(l)
		}
		var specs []settings.Listen
		for one := range strings.FieldsSeq(text) {
			spec, err := settings.ParseListen(one)
			if err != nil {
				t.Fatal(err)
			}
			specs = append(specs, spec)
		}
		if err := s.t.configure(specs); (err != nil) != refused || refused && !strings.Contains(err.Error(), "are sockets of two kinds for one address of the program") {
			t.Errorf("%s: %v, want it refused: %v", text, err, refused)
		}
	}
}

func TestPassedSocketsThatNobodyAsksForAreWarnedAbout(t *testing.T) {
	s := newStage(t, standard(1))
	s.web()
	s.tcp("alt", "[::]:81")
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(80))
	lines := slices.DeleteFunc(strings.Split(s.log.String(), "\n"), func(l string) bool { return !strings.Contains(l, "no worker listens") })
	if len(lines) != 1 || !strings.Contains(lines[0], "alt@[::]:81") {
		t.Errorf("the log says %q, want one line, of alt", lines)
	}
}
