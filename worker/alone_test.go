package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/activation"
)

func init() {
	roles["activated"] = roleActivated
}

// joinAlone joins without a master.
func joinAlone(t *testing.T) *Worker {
	t.Helper()
	census(t)
	w, err := join(Config{}, standalone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Leave(context.Background()) })
	return w
}

func TestWithoutAMasterAListenerIsItsOwn(t *testing.T) {
	w := joinAlone(t)
	if w.ID() != 0 || w.Slot() != 0 || w.Generation() != 0 {
		t.Errorf("id %d, slot %d, generation %d, want 0", w.ID(), w.Slot(), w.Generation())
	}
	path := filepath.Join(t.TempDir(), "x.sock")
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", path}} {
		l, err := w.Listen(t.Context(), at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		peer, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		peer.Close()
		if _, err := w.Listen(t.Context(), at[0], l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second Listen = %v, want EADDRINUSE", err)
		}
	}
}

func TestWithoutAMasterDrainStopsTheListeners(t *testing.T) {
	w := joinAlone(t)
	l, err := w.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := accepting(l)
	w.Drain()
	<-w.Draining()
	if got := <-c; !errors.Is(got.err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", got.err)
	}
	if _, err := w.Listen(t.Context(), "tcp", "127.0.0.1:0"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen after Drain = %v, want net.ErrClosed", err)
	}
	w.Drain() // nothing more
	for range 2 {
		if err := w.Leave(t.Context()); err != nil {
			t.Errorf("Leave = %v, want nil", err)
		}
	}
}

func TestWithoutAMasterPacketsAreReceived(t *testing.T) {
	w := joinAlone(t)
	conn, err := w.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.Drain()
	if _, err := conn.WriteTo([]byte("x"), conn.LocalAddr()); err != nil {
		t.Errorf("write during the drain: %v", err)
	}
}

func TestANameThatWasNotPassedIsAnError(t *testing.T) {
	w := joinAlone(t)
	if _, err := w.Listen(t.Context(), "activation", "web"); err == nil || !strings.Contains(err.Error(), "passed are none") {
		t.Errorf("Listen = %v, want an error that says what was passed", err)
	}
	if _, err := w.ListenPacket(t.Context(), "activation", "web"); err == nil {
		t.Error("ListenPacket = nil, want an error")
	}
}

// roleActivated serves one connection from each of its sockets: by name, by path and
// by address.
func roleActivated() int {
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	w, err := Join(Config{})
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	for _, at := range []string{"activation web", "unix " + os.Getenv("TEST_PATH"), "tcp " + os.Getenv("TEST_ADDRESS")} {
		network, address, _ := strings.Cut(at, " ")
		for range 2 { // the socket outlives its listener
			l, err := w.Listen(ctx, network, address)
			if err != nil {
				return fail(err)
			}
			conn, err := l.Accept()
			if err != nil {
				return fail(err)
			}
			io.WriteString(conn, network)
			conn.Close()
			l.Close()
		}
	}
	conn, err := w.ListenPacket(ctx, "activation", "log")
	if err != nil {
		return fail(err)
	}
	buf := make([]byte, 100)
	n, _, err := conn.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "packet" {
		return fail(errors.New(string(buf[:n])))
	}
	if err := w.Leave(ctx); err != nil {
		return fail(err)
	}
	return 0
}

// fileOf gives a descriptor of socket until the test ends.
func fileOf(t *testing.T, socket any) *os.File {
	t.Helper()
	f, err := socket.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestWithoutAMasterThePassedSocketsAreServed(t *testing.T) {
	census(t)
	path := filepath.Join(t.TempDir(), "x.sock")
	var files []*os.File
	var peers []net.Addr
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", path}, {"tcp", "127.0.0.1:0"}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		files, peers = append(files, fileOf(t, l)), append(peers, l.Addr())
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	if _, err := packets.WriteTo([]byte("packet"), packets.LocalAddr()); err != nil {
		t.Fatal(err)
	}

	cmd := child(t.Context(), "activated", "LISTEN_FDS=4", "LISTEN_FDNAMES=web:ux:other:log",
		"TEST_PATH="+path, "TEST_ADDRESS="+peers[2].String())
	cmd.ExtraFiles = append(files, fileOf(t, packets))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"activation", "unix", "tcp"} {
		for range 2 {
			peer, err := net.Dial(peers[i].Network(), peers[i].String())
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(peer)
			peer.Close()
			if err != nil || string(got) != want {
				t.Errorf("%s: got %q, %v; want %q", peers[i], got, err, want)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestPassedSocketsAreFoundAsAMasterWould(t *testing.T) {
	tcp := func(name, ip string, port int, v6only bool) *passed {
		return &passed{Socket: activation.Socket{Name: name, Kind: activation.TCP, V6Only: v6only,
			Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: port}}}
	}
	all := []*passed{
		tcp("any", "::", 80, false), tcp("local", "127.0.0.1", 81, false), tcp("six", "::", 82, true),
		tcp("two", "127.0.0.1", 83, false), tcp("two", "127.0.0.2", 83, false),
		{Socket: activation.Socket{Name: "path", Kind: activation.Unix, Addr: &net.UnixAddr{Name: "/run/x"}}},
		{Socket: activation.Socket{Name: "log", Kind: activation.UDP, Addr: &net.UDPAddr{Port: 81}}},
	}
	for _, test := range []struct{ network, address, want string }{
		{"tcp", ":80", "any"}, {"tcp", "0.0.0.0:80", "any"}, {"tcp4", ":80", "any"}, {"tcp6", ":80", "any"},
		{"tcp", "127.0.0.1:80", ""}, // a wildcard never stands for one address
		{"tcp", ":81", "local"}, {"tcp", "127.0.0.1:81", "local"}, {"tcp", "127.0.0.2:81", ""}, {"tcp6", ":81", ""},
		{"tcp", ":82", "six"}, {"tcp6", ":82", "six"}, {"tcp4", ":82", ""},
		{"tcp", ":83", "several"}, {"tcp", "127.0.0.2:83", "two"}, {"activation", "two", "two"},
		{"tcp", ":84", ""}, {"tcp", ":0", ""}, {"unix", "/run/x", "path"}, {"unix", "/run/y", ""},
		{"udp", ":81", "log"}, {"activation", "path", "path"}, {"activation", "none", "no such socket"},
	} {
		for _, p := range all {
			p.used = false
		}
		w := &Worker{passed: all}
		got := ""
		p, err := w.findPassed(t.Context(), test.network, test.address, activation.TCP, activation.UDP, activation.Unix)
		if p != nil {
			got = p.Name
		}
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || test.want == "" || !strings.Contains(got, test.want)) {
			t.Errorf("%s %s: %q, want %q", test.network, test.address, got, test.want)
		}
	}
}
