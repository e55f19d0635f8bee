package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
)

// passSocket opens a listening socket and gives it as the init system would.
func passSocket(t *testing.T, network, address, name string) activation.Socket {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := activation.Socket{Name: name, Kind: activation.TCP, Addr: ln.Addr(), Listening: true}
	switch ln := ln.(type) {
	case *net.TCPListener:
		s.File, err = ln.File()
	case *net.UnixListener:
		ln.SetUnlinkOnClose(false)
		s.Kind = activation.Unix
		s.File, err = ln.File()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask makes one request on a connection of its own and gives the answer.
func ask(t *testing.T, a net.Addr) string {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, a.Network(), a.String())
	}}
	c := http.Client{Transport: transport, Timeout: patience}
	r, err := c.Get("http://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// inTurn asks rounds times around and wants every ready worker in the same order each time.
func inTurn(t *testing.T, s *service, a net.Addr, workers, rounds int) []string {
	t.Helper()
	var order []string
	for i := range workers * rounds {
		who := ask(t, a)
		if i < workers {
			order = append(order, who)
			continue
		}
		if want := order[i%workers]; who != want {
			t.Fatalf("connection %d was answered by %s, want %s: round-robin over %v", i, who, want, order)
		}
	}
	seen := map[string]bool{}
	for _, who := range order {
		seen[who] = true
	}
	if len(seen) != workers {
		t.Fatalf("answered by %v, want %d different workers", order, workers)
	}
	return order
}

// TestUnmodifiedNodeProgramsAreWorkers runs one program on each release of Node,
// found by descriptor, by port, by mapping and by path, and reloads it.
func TestUnmodifiedNodeProgramsAreWorkers(t *testing.T) {
	for _, release := range releases() {
		for _, way := range []string{"fd", "port", "mapping", "path"} {
			t.Run(fmt.Sprintf("node%d/%s", release, way), func(t *testing.T) {
				program := node(t, release)
				before := takeCensus()
				sock, listen := passSocket(t, "tcp", "127.0.0.1:0", "web"), ""
				cfg := master.Config{Settings: quick([]string{program, "testdata/answer.js"}, 3)}
				switch way {
				case "fd":
					listen = `{"fd":3}`
				case "port":
					listen = strconv.Itoa(sock.Addr.(*net.TCPAddr).Port)
				case "mapping":
					listen = "3000"
					cfg.Listen = []settings.Listen{{Kind: settings.KindFD, FD: "web", Want: &settings.Want{Port: 3000}}}
				case "path":
					sock.File.Close()
					path := filepath.Join(t.TempDir(), "s")
					sock, listen = passSocket(t, "unix", path, "web"), strconv.Quote(path)
				}
				cfg.Sockets = []activation.Socket{sock}
				cfg.Env = append([]string{"TEST_LISTEN=" + listen}, os.Environ()...)
				s := launch(t, cfg, before)
				s.await(func(e master.Event) bool { return e.Ready })
				first := inTurn(t, s, sock.Addr, 3, 3)
				if err := s.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, who := range inTurn(t, s, sock.Addr, 3, 2) {
					for _, old := range first {
						if who == old {
							t.Errorf("worker %s answers after the reload", old)
						}
					}
				}
			})
		}
	}
}

// TestNodeProgramsBindThroughTheMaster runs a program with no passed socket: the master
// binds what it asks for, and keeps it while workers come and go.
func TestNodeProgramsBindThroughTheMaster(t *testing.T) {
	for _, release := range releases() {
		t.Run(fmt.Sprintf("node%d", release), func(t *testing.T) {
			program := node(t, release)
			before := takeCensus()
			cfg := master.Config{Settings: quick([]string{program, "testdata/answer.js"}, 2)}
			cfg.Env = append([]string{"TEST_LISTEN=0"}, os.Environ()...)
			s := launch(t, cfg, before)
			s.await(func(e master.Event) bool { return e.Ready })
			st := s.status()
			if len(st.Listeners) != 1 {
				t.Fatalf("listeners %+v, want one", st.Listeners)
			}
			address, err := net.ResolveTCPAddr("tcp", st.Listeners[0].Address)
			if err != nil {
				t.Fatal(err)
			}
			inTurn(t, s, address, 2, 2)
			if err := s.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			inTurn(t, s, address, 2, 2)
		})
	}
}
