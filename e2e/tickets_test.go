package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/master"
	"github.com/rondokit/rondo/worker"
)

// tlsWorker tells each client which worker it is, over TLS.
func tlsWorker() int {
	if err := serveTLS(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveTLS() error {
	w, err := worker.Join(worker.Config{})
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair([]byte(os.Getenv("TEST_CERT")), []byte(os.Getenv("TEST_KEY")))
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if err := w.ShareTickets(context.Background(), config); err != nil {
		return err
	}
	ln, err := w.Listen(context.Background(), "tcp", os.Getenv("TEST_LISTEN"))
	if err != nil {
		return err
	}
	for ln := tls.NewListener(ln, config); ; {
		c, err := ln.Accept()
		if err != nil {
			return w.Leave(context.Background())
		}
		fmt.Fprintln(c, w.ID())
		c.Close()
	}
}

// greeted connects and gives the worker that answered, and whether the session is an old one.
func greeted(t *testing.T, a net.Addr, cache tls.ClientSessionCache) (worker int, resumed bool) {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, a.Network(), a.String(), &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var line string
	if _, err := fmt.Fscanln(c, &line); err != nil {
		t.Fatal(err)
	}
	if worker, err = strconv.Atoi(line); err != nil {
		t.Fatal(err)
	}
	return worker, c.ConnectionState().DidResume
}

func TestSessionsOfTLSAreResumedOnEveryGoWorker(t *testing.T) {
	env := append(append([]string{"GORACE=atexit_sleep_ms=0"}, os.Environ()...), surroundings(t)...)
	before := takeCensus()
	sock := passSocket(t, "tcp", "127.0.0.1:0", "web")
	cfg := master.Config{Settings: quick(as(t, "tls", "TEST_LISTEN="+sock.Addr.String()), 3), Sockets: []activation.Socket{sock}}
	cfg.Env = env
	s := launch(t, cfg, before)
	s.await(func(e master.Event) bool { return e.Ready })
	cache, seen := tls.NewLRUClientSessionCache(1), map[int]bool{}
	for i := range 12 {
		if i == 6 {
			if err := s.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		who, resumed := greeted(t, sock.Addr, cache)
		seen[who] = true
		if want := i > 0; resumed != want {
			t.Errorf("connection %d, by worker %d: resumed = %v, want %v", i, who, resumed, want)
		}
	}
	if len(seen) != 6 {
		t.Errorf("answered by the workers %v, want 3 before the reload and 3 after it", seen)
	}
}
