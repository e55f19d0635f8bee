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

func TestWorkersGetTheSocketThatIsShared(t *testing.T) {
	for name, row := range map[string]struct {
		socket   *listener
		schedule settings.Schedule
		query    *wire.Query
		batch    int
	}{
		"UDP":                       {udp("dns", "0.0.0.0:53"), "rr", dgram("0.0.0.0", 53), 0},
		"UDP, to a Go worker":       {udp("dns", "0.0.0.0:53"), "rr", dgram("0.0.0.0", 53), 8},
		"TCP":                       {tcp("http", "[::]:80"), "none", port(80), 0},
		"TCP, by its name":          {tcp("http", "[::]:80"), "http=none", port(80), 0},
		"a path":                    {ux("app", "/run/app"), "none", pipe("/run/app"), 0},
		"a path, that is mapped":    {mapped(t, ux("app", "/run/app"), "unix:/run/app=/tmp/app"), "none", pipe("/tmp/app"), 0},
		"UDP, which may be mapped":  {mapped(t, udp("dns", "0.0.0.0:53"), "udp:53=5353"), "rr", dgram("0.0.0.0", 5353), 0},
		"TCP, for any port of ours": {nil, "none", port(0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := standard(2)
			cfg.Schedule = row.schedule
			s := newStage(t, cfg)
			if row.socket != nil {
				s.add(row.socket)
			}
			s.queries, s.batch = []*wire.Query{row.query}, row.batch
			s.turn(event{kind: evStart})
			s.calm()
			if got := len(s.took("share")); got != 2 {
				t.Errorf("%d sockets were passed, want one to each of 2 workers: %q", got, s.took("share"))
			}
			if got := s.took("poll", "accept"); got != nil {
				t.Errorf("the master did %q with it, want nothing", got)
			}
			if got := s.t.snapshot().Listeners[0]; got.Schedule != "none" || !got.Accepting {
				t.Errorf("status says %+v, want schedule none, accepting", got)
			}
		})
	}
}

// One answer has one socket, and Node compares its port with the one that it asked for.
func TestWhatCannotBeSharedIsRefusedWithTheRemedy(t *testing.T) {
	for name, row := range map[string]struct {
		sockets sockets
		query   *wire.Query
		want    string
	}{
		"two sockets":    {sockets{udp("a", "127.0.0.1:53"), udp("b", "127.0.0.2:53")}, dgram("0.0.0.0", 53), "a@udp:127.0.0.1:53 and b@udp:127.0.0.2:53 match, and workers share one socket: name one of them with --listen"},
		"a mapped port":  {sockets{mapped(t, tcp("a", "[::]:80"), "80=3000")}, port(3000), "a@[::]:80 is on another port, and workers share it (--schedule): have the program listen on 80"},
		"another family": {sockets{udp("a", "[::]:53")}, dgram("0.0.0.0", 53), "a@udp:[::]:53 is of the other address family, in which a udp4 socket cannot answer: have systemd pass it as udp:0.0.0.0:53"},
		"no such socket": {sockets{tcp("a", "[::]:53"), udp("b", "0.0.0.0:5353")}, dgram("0.0.0.0", 53), "to serve it from one of them: --listen fd:b=53"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := standard(1)
			cfg.Schedule = "none"
			s := newStage(t, cfg)
			for _, l := range row.sockets {
				s.add(l)
			}
			s.turn(event{kind: evStart})
			p := s.newest()
			s.online(p, 0)
			if key := s.asks(p, row.query); key != "" || p.errno != unix.EADDRNOTAVAIL {
				t.Errorf("granted %q, errno %v, want EADDRNOTAVAIL", key, p.errno)
			}
			if !strings.Contains(s.log.String(), row.want) {
				t.Errorf("want %q in the log:\n%s", row.want, s.log.String())
			}
		})
	}
}

// A worker that has no room for the socket hears of it, and may ask again.
func TestASocketThatDoesNotArriveIsAnError(t *testing.T) {
	for name, row := range map[string]struct {
		fails func(s *stage, p *peer)
		want  unix.Errno
	}{
		"no descriptor is free": {func(s *stage, p *peer) {
			s.says(p, wire.Message{Kind: wire.QueryServer, Query: dgram("0.0.0.0", 53), Ack: -1})
			s.nacks(p)
		}, unix.EMFILE},
		"the channel is full": {func(s *stage, p *peer) {
			p.full = true
			s.says(p, wire.Message{Kind: wire.QueryServer, Query: dgram("0.0.0.0", 53), Ack: -1})
			p.full = false
			for _, line := range p.lines {
				s.line(p, line)
			}
			p.lines = nil
			s.turn(event{kind: evWritable, worker: p.id})
		}, unix.ENOBUFS},
		"too many are under way": {func(s *stage, p *peer) {
			p.err = unix.ETOOMANYREFS
			s.says(p, wire.Message{Kind: wire.QueryServer, Query: dgram("0.0.0.0", 53), Ack: -1})
			p.err = nil
		}, unix.ENOBUFS},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, standard(1))
			s.udp("dns", "0.0.0.0:53")
			s.turn(event{kind: evStart})
			p := s.newest()
			s.online(p, 0)
			row.fails(s, p)
			if p.errno != row.want || len(p.keys) > 0 {
				t.Errorf("errno %v, keys %q, want %v and none", p.errno, p.keys, row.want)
			}
			s.queries = []*wire.Query{dgram("0.0.0.0", 53)}
			s.calm()
			if len(p.keys) != 1 {
				t.Errorf("keys %q after it asked again, want one", p.keys)
			}
		})
	}
}

// ACKs have no numbers: one of a socket is not one of a connection, in either order.
func TestAcknowledgementsOfSocketsAndConnectionsKeepTheirOrder(t *testing.T) {
	s := newStage(t, standard(1))
	l := s.web()
	s.udp("dns", "0.0.0.0:53")
	s.turn(event{kind: evStart})
	p := s.newest()
	s.opens(p, 0, port(80))
	s.arrive(l, 1)
	s.says(p, wire.Message{Kind: wire.QueryServer, Query: dgram("0.0.0.0", 53), Ack: -1})
	s.arrive(l, 1)
	if len(p.owed) != 3 || !isShare(p.owed[1]) {
		t.Fatalf("the worker owes %+v, want a connection, a socket and a connection", p.owed)
	}
	s.nacks(p) // of the first connection, which comes again
	s.acks(p)
	if len(p.keys) != 2 {
		t.Fatalf("keys %q, want that of the socket, too", p.keys)
	}
	s.everyoneAccepts()
	s.pass(time.Second)
	s.everyoneAccepts()
	s.expectCounts(t, Counters{HandedOver: 2, Redistributed: 1})
}

// As Node's dgram sockets with reuseAddr do: each bind is a socket of its own.
func TestAWorkerMayOpenItsOwnAddressAgainWithReuseAddr(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	p := s.newest()
	s.online(p, 0)
	first := dgram("0.0.0.0", 0)
	first.Flags = wire.FlagReuseAddr
	s.asks(p, first)
	again := dgram("0.0.0.0", s.t.listeners[0].port)
	again.Flags = wire.FlagReuseAddr
	if s.asks(p, again) == "" || len(s.t.listeners) != 2 {
		t.Errorf("errno %v with %d sockets, want a second one", p.errno, len(s.t.listeners))
	}
	plain := dgram("0.0.0.0", s.t.listeners[0].port)
	plain.Index = 1
	if s.asks(p, plain) != "" || p.errno != unix.EADDRINUSE {
		t.Errorf("without reuseAddr errno %v, want EADDRINUSE", p.errno)
	}
}

func TestAScheduleForNobodyIsRefused(t *testing.T) {
	cfg := standard(1)
	cfg.Schedule = "admin=none"
	s := newStage(t, cfg)
	s.web()
	if err := s.t.configure(nil); err == nil || !strings.Contains(err.Error(), `--schedule admin=none: no listener has the name "admin"`) {
		t.Errorf("configure: %v", err)
	}
	s.tcp("admin", "127.0.0.1:81")
	if err := s.t.configure(nil); err != nil {
		t.Errorf("configure: %v", err)
	}
	if names := s.t.cfg.Schedule.Names(); !slices.Equal(names, []string{"admin"}) {
		t.Errorf("names %q", names)
	}
}
