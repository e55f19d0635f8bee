package worker

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

func TestAddressesAreAskedForAsNodeWould(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	w := &Worker{named: true}
	for _, test := range []struct {
		network, address string
		want             wire.Query
	}{
		{"tcp", ":8080", wire.Query{Port: 8080, Type: wire.IPv4}},
		{"tcp", "0.0.0.0:8080", wire.Query{Port: 8080, Type: wire.IPv4}},
		{"tcp", "[::]:8080", wire.Query{Port: 8080, Type: wire.IPv4}},
		{"tcp", ":0", wire.Query{Type: wire.IPv4}},
		{"tcp", ":", wire.Query{Type: wire.IPv4}},
		{"tcp", ":http", wire.Query{Port: 80, Type: wire.IPv4}},
		{"tcp4", ":80", wire.Query{Address: "0.0.0.0", Port: 80, Type: wire.IPv4}},
		{"tcp6", ":80", wire.Query{Address: "::", Port: 80, Type: wire.IPv6, Flags: wire.FlagV6Only}},
		{"tcp", "127.0.0.1:80", wire.Query{Address: "127.0.0.1", Port: 80, Type: wire.IPv4}},
		{"tcp", "[::ffff:127.0.0.1]:80", wire.Query{Address: "127.0.0.1", Port: 80, Type: wire.IPv4}},
		{"tcp", "[::1]:80", wire.Query{Address: "::1", Port: 80, Type: wire.IPv6}},
		{"tcp", "[fe80::1%lo]:80", wire.Query{Address: "fe80::1%lo", Port: 80, Type: wire.IPv6}},
		{"tcp", "localhost:80", wire.Query{Address: "127.0.0.1", Port: 80, Type: wire.IPv4}},
		{"unix", "/run/x.sock", wire.Query{Address: "/run/x.sock", Port: -1, Type: wire.Pipe}},
		{"unix", "x.sock", wire.Query{Address: filepath.Join(dir, "x.sock"), Port: -1, Type: wire.Pipe}},
		{"unix", "@name", wire.Query{Address: "\x00name", Port: -1, Type: wire.Pipe}},
		{"activation", "web", wire.Query{Name: "web"}},
	} {
		test.want.FD = -1
		got, _, err := w.ask(t.Context(), test.network, test.address)
		if err != nil {
			t.Errorf("%s %s: %v", test.network, test.address, err)
			continue
		}
		if got.Tuple() != test.want.Tuple() || got.Flags != test.want.Flags {
			t.Errorf("%s %s: query %+v, want %+v", test.network, test.address, *got, test.want)
		}
	}
}

func TestAddressesThatCannotBeAskedForAreErrors(t *testing.T) {
	w := &Worker{}
	for _, test := range [][2]string{
		{"udp", ":80"}, {"", ":80"}, {"unixpacket", "/x"}, {"unix", ""},
		{"tcp", "80"}, {"tcp", "127.0.0.1:99999"}, {"tcp", ":no-such-service"},
		{"tcp4", "[::1]:80"}, {"tcp6", "127.0.0.1:80"}, {"tcp", "no-such-host.invalid:80"},
	} {
		if q, addr, err := w.ask(t.Context(), test[0], test[1]); err == nil || addr != nil {
			t.Errorf("%s %s: query %+v, address %v, error %v; want an error alone", test[0], test[1], q, addr, err)
		}
	}
	if _, _, err := w.ask(t.Context(), "activation", "web"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("activation under another primary: %v, want ErrUnsupported", err)
	}
}
