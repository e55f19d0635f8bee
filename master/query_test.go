package master

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// sockets are passed listeners, by their place in the environment.
type sockets []*listener

func tcp(name, addr string) *listener {
	ap := netip.MustParseAddrPort(addr)
	return &listener{address: address{network: "tcp", ip: ap.Addr(), port: int(ap.Port())}, name: name}
}

func udp(name, addr string) *listener {
	l := tcp(name, addr)
	l.network = "udp"
	return l
}

func v6only(l *listener) *listener { l.v6only = true; return l }

func ux(name, path string) *listener {
	return &listener{address: address{network: "unix", path: path}, name: name}
}

func mapped(t *testing.T, l *listener, listen string) *listener {
	t.Helper()
	spec, err := settings.ParseListen(listen)
	if err != nil {
		t.Fatal(err)
	}
	l.wants = append(l.wants, *spec.Want)
	return l
}

// at is the query of listen(port, address).
func at(address string, port int) *wire.Query {
	q := &wire.Query{Address: address, Port: port, Type: wire.IPv4, FD: -1}
	if strings.Contains(address, ":") {
		q.Type = wire.IPv6
	}
	return q
}

func only6(port int) *wire.Query {
	q := at("::", port)
	q.Flags = wire.FlagV6Only
	return q
}

// dgram is the query of a dgram socket's bind(port, address).
func dgram(address string, port int) *wire.Query {
	q := at(address, port)
	q.Type = "udp" + q.Type
	return q
}

func namedUDP(name string) *wire.Query {
	q := named(name)
	q.Type = wire.UDP4
	return q
}

func pipe(path string) *wire.Query {
	return &wire.Query{Address: path, Port: -1, Type: wire.Pipe, FD: -1}
}
func fd(n int) *wire.Query { return &wire.Query{FD: n} }
func named(name string) *wire.Query {
	return &wire.Query{FD: -1, Name: name}
}

// Every rule by which a query finds its listeners.
func TestAQueryFindsItsSockets(t *testing.T) {
	for _, row := range []struct {
		name    string
		sockets sockets
		query   *wire.Query
		want    []int // indexes; none: EADDRNOTAVAIL
	}{
		{"fd:3 is the first passed socket", sockets{tcp("a", "[::]:80"), ux("b", "/b")}, fd(3), []int{0}},
		{"fd:4 is the second, also a path", sockets{tcp("a", "[::]:80"), ux("b", "/b")}, fd(4), []int{1}},
		{"fd:5 is none", sockets{tcp("a", "[::]:80"), ux("b", "/b")}, fd(5), nil},
		{"fd:0 is none", sockets{tcp("a", "[::]:80")}, fd(0), nil},
		{"a descriptor goes before a mapping", sockets{tcp("a", "[::]:80"), mapped(t, tcp("b", "[::]:81"), "81=3000")}, fd(3), []int{0}},

		{"a name", sockets{tcp("a", "[::]:80"), tcp("b", "[::]:81")}, named("b"), []int{1}},
		{"a name that two have", sockets{tcp("a", "0.0.0.0:80"), tcp("a", "[::1]:80")}, named("a"), []int{0, 1}},
		{"a name that nobody has", sockets{tcp("a", "[::]:80")}, named("x"), nil},
		{"a name that sockets of both kinds have", sockets{tcp("a", "[::]:80"), ux("a", "/a")}, named("a"), nil},

		{"a mapped port", sockets{tcp("a", "[::]:80"), mapped(t, tcp("b", "[::]:81"), "81=3000")}, port(3000), []int{1}},
		{"a mapped port, asked at an address", sockets{mapped(t, tcp("a", "[::]:80"), "80=3000")}, at("127.0.0.1", 3000), []int{0}},
		{"a mapped address", sockets{mapped(t, tcp("a", "[::]:80"), "80=127.0.0.1:3000")}, at("127.0.0.1", 3000), []int{0}},
		{"a mapped address, asked at another", sockets{mapped(t, tcp("a", "[::]:80"), "80=127.0.0.1:3000")}, at("127.0.0.2", 3000), nil},
		{"a mapped address, asked at any", sockets{mapped(t, tcp("a", "[::]:80"), "80=127.0.0.1:3000")}, port(3000), nil},
		{"a mapped any address, asked at any", sockets{mapped(t, tcp("a", "[::]:80"), "80=0.0.0.0:3000")}, port(3000), []int{0}},
		{"a mapped path", sockets{mapped(t, ux("a", "/run/a"), "unix:/run/a=/tmp/app.sock")}, pipe("/tmp/app.sock"), []int{0}},
		{"a port mapped to a path", sockets{mapped(t, tcp("a", "[::]:80"), "80=/tmp/app.sock")}, pipe("/tmp/app.sock"), []int{0}},
		{"a path mapped to a port", sockets{mapped(t, ux("a", "/run/a"), "unix:/run/a=3000")}, port(3000), []int{0}},
		{"a mapping goes before the same port", sockets{tcp("a", "[::]:80"), mapped(t, tcp("b", "[::]:81"), "81=80")}, port(80), []int{1}},
		{"two sockets for one mapping", sockets{mapped(t, tcp("a", "0.0.0.0:80"), "80=3000"), mapped(t, tcp("b", "[::1]:80"), "80=3000")}, port(3000), []int{0, 1}},
		{"a mapping of sockets of both kinds", sockets{mapped(t, tcp("a", "[::]:80"), "80=3000"), mapped(t, ux("b", "/b"), "unix:/b=3000")}, port(3000), nil},

		{"the same address", sockets{tcp("a", "127.0.0.1:80"), tcp("b", "127.0.0.2:80")}, at("127.0.0.2", 80), []int{1}},
		{"the same address, written otherwise", sockets{tcp("a", "[2001:db8::1]:80")}, at("2001:DB8:0:0::1", 80), []int{0}},
		{"an IPv4 address in IPv6", sockets{tcp("a", "127.0.0.1:80")}, at("::ffff:127.0.0.1", 80), []int{0}},
		{"the same address and another port", sockets{tcp("a", "127.0.0.1:80")}, at("127.0.0.1", 81), nil},
		{"a specific address is not served by a wildcard", sockets{tcp("a", "0.0.0.0:80"), tcp("b", "[::]:80")}, at("127.0.0.1", 80), nil},
		{"the same path", sockets{ux("a", "/run/a"), ux("b", "/run/b")}, pipe("/run/b"), []int{1}},
		{"another path", sockets{ux("a", "/run/a")}, pipe("/run/a.sock"), nil},
		{"an abstract name, which Node resolves like a path", sockets{ux("a", "@abc")}, pipe("/home/app/\x00abc"), []int{0}},
		{"an abstract name as Go writes it", sockets{ux("a", "@abc")}, pipe("@abc"), []int{0}},
		{"a path is no abstract name", sockets{ux("a", "@abc")}, pipe("/home/app/abc"), nil},

		{"any address: a wildcard", sockets{tcp("a", "[::]:80")}, port(80), []int{0}},
		{"any address: all on that port", sockets{tcp("a", "127.0.0.1:80"), tcp("b", "[::1]:80"), tcp("c", "[::]:81")}, port(80), []int{0, 1}},
		{"0.0.0.0: its own wildcard first", sockets{tcp("a", "[::]:80"), tcp("b", "0.0.0.0:80")}, at("0.0.0.0", 80), []int{1}},
		{"0.0.0.0: a wildcard that takes IPv4 too", sockets{tcp("a", "[::]:80")}, at("0.0.0.0", 80), []int{0}},
		{"0.0.0.0: not one for IPv6 alone", sockets{v6only(tcp("a", "[::]:80"))}, at("0.0.0.0", 80), nil},
		{"0.0.0.0: a specific address", sockets{tcp("a", "10.0.0.1:80"), v6only(tcp("b", "[::]:80"))}, at("0.0.0.0", 80), []int{0}},
		{"no address: also one for IPv6 alone", sockets{v6only(tcp("a", "[::]:80")), tcp("b", "0.0.0.0:80")}, port(80), []int{0, 1}},
		{"::, IPv6 alone: no IPv4 socket", sockets{tcp("a", "0.0.0.0:80")}, only6(80), nil},
		{"::, IPv6 alone: the IPv6 one", sockets{tcp("a", "10.0.0.1:80"), v6only(tcp("b", "[::1]:80"))}, only6(80), []int{1}},
		{"::, either: a socket of IPv4 too", sockets{tcp("a", "0.0.0.0:80")}, at("::", 80), []int{0}},
		{"a datagram socket", sockets{tcp("a", "0.0.0.0:53"), udp("a", "0.0.0.0:53")}, dgram("0.0.0.0", 53), []int{1}},
		{"a port is no datagram socket's", sockets{udp("a", "0.0.0.0:53")}, port(53), nil},
		{"a datagram socket at an address", sockets{udp("a", "127.0.0.1:53"), udp("b", "127.0.0.2:53")}, dgram("127.0.0.2", 53), []int{1}},
		{"any address: the one datagram socket on that port", sockets{udp("a", "127.0.0.1:53")}, dgram("0.0.0.0", 53), []int{0}},
		{"any address: of two datagram sockets none", sockets{udp("a", "127.0.0.1:53"), udp("b", "127.0.0.2:53")}, dgram("0.0.0.0", 53), nil},
		{"udp4: not one of IPv6, from which Node could not answer", sockets{udp("a", "[::]:53")}, dgram("0.0.0.0", 53), nil},
		{"udp6: not one of IPv4", sockets{udp("a", "0.0.0.0:53")}, dgram("::", 53), nil},
		{"udp4, mapped: not one of IPv6", sockets{mapped(t, udp("a", "[::]:53"), "udp:53=5353")}, dgram("0.0.0.0", 5353), nil},
		{"no address: a datagram socket of either family", sockets{udp("a", "0.0.0.0:53")}, &wire.Query{Port: 53, Type: wire.UDP6, FD: -1}, []int{0}},
		{"a datagram socket by name", sockets{tcp("dns", "[::]:53"), udp("dns", "[::]:53")}, namedUDP("dns"), []int{1}},
		{"a listener by the name of both", sockets{tcp("dns", "[::]:53"), udp("dns", "[::]:53")}, named("dns"), []int{0}},
		{"a mapped datagram socket", sockets{mapped(t, udp("a", "0.0.0.0:53"), "udp:53=5353")}, dgram("0.0.0.0", 5353), []int{0}},
		{"a datagram socket by descriptor", sockets{tcp("a", "[::]:80"), udp("b", "0.0.0.0:53")}, &wire.Query{FD: 4, Type: wire.UDP4}, []int{1}},
		{"a datagram socket's descriptor is no listener", sockets{udp("b", "0.0.0.0:53")}, fd(3), nil},

		{"another port", sockets{tcp("a", "[::]:80")}, port(81), nil},
		{"a port is no path", sockets{ux("a", "/80")}, port(80), nil},
		{"a path is no port", sockets{tcp("a", "[::]:80")}, pipe("/80"), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, standard(1))
			for _, l := range row.sockets {
				fresh := *l
				s.add(&fresh)
			}
			s.turn(event{kind: evStart})
			p := s.peer(0)
			s.online(p, 0)
			got := []int(nil)
			if name := s.asks(p, row.query); name != "" {
				for _, l := range s.t.handles[row.query.Key()].listeners {
					got = append(got, l.index)
				}
			} else if p.errno != unix.EADDRNOTAVAIL {
				t.Errorf("refused with %v, want %v", p.errno, unix.EADDRNOTAVAIL)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("%s is served by %v, want %v", row.query, got, row.want)
			}
		})
	}
}

// A worker takes another port than the one it asked for as EADDRINUSE.
func TestTheAnswerHasTheAddressThatTheWorkerExpects(t *testing.T) {
	for _, row := range []struct {
		name   string
		socket *listener
		query  *wire.Query
		want   *wire.Sockname
	}{
		{"the same port", tcp("a", "[::]:80"), port(80), &wire.Sockname{Address: "::", Family: "IPv6", Port: 80}},
		{"a mapped port", mapped(t, tcp("a", "127.0.0.1:80"), "80=3000"), port(3000), &wire.Sockname{Address: "127.0.0.1", Family: "IPv4", Port: 3000}},
		{"a descriptor", tcp("a", "127.0.0.1:80"), fd(3), &wire.Sockname{Address: "127.0.0.1", Family: "IPv4", Port: 80}},
		{"a name", tcp("a", "127.0.0.1:80"), named("a"), &wire.Sockname{Address: "127.0.0.1", Family: "IPv4", Port: 80}},
		{"a path", ux("a", "/run/a"), pipe("/run/a"), nil},
		{"a path by descriptor", ux("a", "/run/a"), fd(3), nil},
		{"a path by name", ux("a", "/run/a"), named("a"), &wire.Sockname{Address: "/run/a", Family: "unix", Port: -1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, standard(1))
			s.add(row.socket)
			s.turn(event{kind: evStart})
			s.opens(s.peer(0), 0, row.query)
			p := s.peer(0)
			if (p.name == nil) != (row.want == nil) || p.name != nil && *p.name != *row.want {
				t.Errorf("sockname is %+v, want %+v", p.name, row.want)
			}
			if got := s.state(0); got != wReady {
				t.Errorf("the worker that says it listens there is %v, want %v", got, wReady)
			}
		})
	}
}

func TestTheFirstAskersDataIsEveryones(t *testing.T) {
	s := newStage(t, standard(2))
	s.web()
	s.turn(event{kind: evStart})
	for i, data := range []string{`{"ticketKeys":"first"}`, `{"ticketKeys":"second"}`} {
		q := port(80)
		q.Data = []byte(data)
		s.opens(s.peer(i), 0, q)
		if got, want := s.peer(i).data, `{"ticketKeys":"first"}`; got != want {
			t.Errorf("worker %d got %s, want %s", i+1, got, want)
		}
	}
	q := port(81)
	q.Data = []byte(`{"ticketKeys":"third"}`)
	s.asks(s.peer(0), q)
	if p := s.peer(0); p.errno != unix.EADDRNOTAVAIL || p.data != `{"ticketKeys":"third"}` {
		t.Errorf("a refused TLS server got %v and %s, want its own data: it reads it also then", p.errno, p.data)
	}
	q.Port, q.Data = 82, []byte(`{"ticketKeys":"`+strings.Repeat("0", 100_000)+`"}`)
	s.asks(s.peer(0), q)
	if p := s.peer(0); p.errno != unix.EADDRNOTAVAIL || p.data != "" {
		t.Errorf("a refused server with more data than a line has room for got %v and %d bytes, want none", p.errno, len(p.data))
	}
	if strings.Contains(s.log.String(), "ticketKeys") {
		t.Errorf("ticket keys are in the log:\n%s", s.log.String())
	}
}

func TestWhatNoListenerCouldServeIsRefused(t *testing.T) {
	long := strings.Repeat("x", maxKey)
	for _, row := range []struct {
		name  string
		query *wire.Query
		want  unix.Errno
	}{
		{"a kind of address that there is not", &wire.Query{Port: 80, Type: "7", FD: -1}, unix.EINVAL},
		{"a kind that fits no line", &wire.Query{Port: 80, Type: wire.AddressType(long + "x"), FD: -1}, unix.ENAMETOOLONG},
		{"a path that fits no line", pipe("/" + long), unix.ENAMETOOLONG},
		{"a directory that fits no line, before an abstract name", pipe("/" + long + "\x00abc"), unix.ENAMETOOLONG},
		{"NULs, six bytes each in JSON", pipe(strings.Repeat("\x00", maxKey/6+1) + "abc"), unix.ENAMETOOLONG},
		{"a name that would be looked up", at("example.com", 80), unix.EINVAL},
		{"an address with a zone as long as a line", at("fe80::1%"+long[:maxKey-100], 80), unix.EINVAL},
		{"a port below all", at("", -1), unix.EINVAL},
		{"a port above all", at("", 65536), unix.EINVAL},
	} {
		for _, passed := range []bool{true, false} {
			s := newStage(t, standard(1))
			if passed {
				s.web()
				s.add(ux("x", "@abc"))
			}
			s.turn(event{kind: evStart})
			s.online(s.peer(0), 0)
			s.took()
			s.asks(s.peer(0), row.query)
			if got := s.peer(0).errno; got != row.want {
				t.Errorf("%s, sockets passed %v: errno %v, want %v", row.name, passed, got, row.want)
			}
			s.expect(t, row.name, "bind")
		}
	}
}

func TestAListenerIsOneWorkersOnce(t *testing.T) {
	s := newStage(t, standard(2))
	s.web()
	s.turn(event{kind: evStart})
	p := s.peer(0)
	s.opens(p, 0, port(80))
	for name, q := range map[string]*wire.Query{"the same query": port(80), "the same port at any address": at("::", 80), "its descriptor": fd(3), "with another index": {Port: 80, Type: wire.IPv4, FD: -1, Index: 1}} {
		s.asks(p, q)
		if p.errno != unix.EADDRINUSE {
			t.Errorf("%s again: %v, want %v", name, p.errno, unix.EADDRINUSE)
		}
	}
	s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[0], Ack: -1})
	q := port(80)
	q.Index = 1
	s.opens(p, 0, q)
	if s.state(0) != wReady {
		t.Errorf("after it closed it, it opens it again and is %v, want %v", s.state(0), wReady)
	}
	s.opens(s.peer(1), 0, port(80)) // another worker may have it, too
}

func TestAWorkerHasABoundedNumberOfListeners(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	s.online(s.peer(0), 0)
	w := s.t.workers[1]
	for i := range maxKeys { // as if it had asked
		w.keys[itoa(i)] = &key{name: itoa(i), worker: w, handle: &handle{name: itoa(i)}}
	}
	for name, k := range w.keys {
		s.t.handles[name] = k.handle
		k.handle.keys = 1
	}
	s.asks(s.peer(0), port(0))
	if got := s.peer(0).errno; got != unix.EMFILE {
		t.Errorf("one more is answered with %v, want %v", got, unix.EMFILE)
	}
}

// A worker that opens and closes for ever leaves nothing behind.
func TestNothingIsKeptOfAListenerThatIsClosed(t *testing.T) {
	for _, passed := range []bool{true, false} {
		s := newStage(t, standard(2))
		if passed {
			s.web()
		}
		s.turn(event{kind: evStart})
		p := s.peer(0)
		s.online(p, 0)
		for i := range 50 {
			q := port(80)
			q.Index, q.Data = i, []byte(`"`+strings.Repeat("x", 100_000)+`"`)
			name := s.asks(p, q)
			if k := s.worker(p).keys[name]; k.query.Data != nil || k.handle.data != nil {
				t.Errorf("%d bytes of data are kept, and %d for others, want none", len(k.query.Data), len(k.handle.data))
			}
			s.says(p, wire.Message{Kind: wire.Close, Key: name, Ack: -1})
		}
		if got := len(s.t.handles); got != 0 {
			t.Errorf("sockets passed %v: %d handles are kept, want 0", passed, got)
		}
		if got, want := len(s.t.listeners), map[bool]int{true: 1, false: 0}[passed]; got != want {
			t.Errorf("sockets passed %v: %d listeners are left, want %d", passed, got, want)
		}
	}
}

func TestAWorkerThatLeavesOpensNothing(t *testing.T) {
	s, _ := serve(t, 1)
	p := s.peer(0)
	s.says(p, wire.Message{Kind: wire.Exited, Ack: -1})
	s.took()
	s.asks(p, port(81))
	s.expect(t, "a query of a worker that leaves", "line bind")
}

func TestListeningOnWhatWasNotAskedForIsNotedAndCountsForNothing(t *testing.T) {
	s := newStage(t, standard(1))
	s.web()
	s.turn(event{kind: evStart})
	p := s.peer(0)
	s.online(p, 0)
	s.asks(p, port(80))
	for text, q := range map[string]*wire.Query{":81": port(81), "127.0.0.1:80": at("127.0.0.1", 80), "fd:3": fd(3), `"/x"`: pipe("/x")} {
		s.says(p, wire.Message{Kind: wire.Listening, Query: q, Ack: -1})
		if want := "says that it listens on " + text + ", which it did not ask for"; !strings.Contains(strings.ReplaceAll(s.log.String(), `\`, ""), want) {
			t.Errorf("the log does not say that it %s:\n%s", want, s.log.String())
		}
		if got := s.state(0); got != wOnline {
			t.Errorf("after %s the worker is %v, want %v", q, got, wOnline)
		}
	}
}

func TestAMessageThatCannotBeAnsweredIsNotAnswered(t *testing.T) {
	s, _ := serve(t, 1)
	s.took()
	for _, m := range []wire.Message{{Kind: wire.QueryServer, Query: port(81)}, {Kind: wire.Exited}} {
		m.Seq, m.Ack = -1, -1
		s.turn(event{kind: evMessage, worker: 1, msg: &m})
	}
	s.expect(t, "a query and a goodbye without seq", "line bind")
	if got := s.state(0); got != wReady {
		t.Errorf("the worker is %v, want %v", got, wReady)
	}
}
