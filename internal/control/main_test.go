package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// backend is a master that remembers what it was asked.
type backend struct {
	mu     sync.Mutex // guards calls
	calls  []string
	err    error         // of every call
	begun  chan struct{} // told of each reload, when reload is not nil
	reload chan struct{} // a reload waits for it, when it is not nil
	ended  chan struct{} // told of the end of each reload, when reload is not nil
}

func (b *backend) called(what string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, what)
	return b.err
}

func (b *backend) got() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.calls, " ")
}

func (b *backend) Status(context.Context) (any, error) {
	return identity{Name: "app", PID: os.Getpid()}, b.called("status")
}

func (b *backend) Reload(ctx context.Context) error {
	if b.reload != nil {
		defer func() { b.ended <- struct{}{} }()
		b.begun <- struct{}{}
		select {
		case <-b.reload:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b.called("reload")
}

func (b *backend) ManagedReload(context.Context) error { return b.called("managed") }

func (b *backend) Scale(_ context.Context, n int) error {
	return b.called("scale" + string(rune('0'+n)))
}
func (b *backend) Stop(context.Context) error    { return b.called("stop") }
func (b *backend) Upgrade(context.Context) error { return b.called("upgrade") }
func (b *backend) Leave(context.Context) error   { return b.called("leave") }
func (b *backend) DrainWorker(_ context.Context, id int) error {
	return b.called("drain" + string(rune('0'+id)))
}
func (b *backend) KillWorker(_ context.Context, id int) error {
	return b.called("kill" + string(rune('0'+id)))
}

func (b *backend) Send(_ context.Context, slot int, message json.RawMessage) error {
	return b.called(fmt.Sprintf("send%d%s", slot, message))
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rondo-control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// socketPath is where the socket of a master called app is, below dir.
func socketPath(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "app", socketName)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs a Server on path until the test ends, or stop is called.
func serve(t *testing.T, path string, s *Server) (stop func()) {
	t.Helper()
	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = l
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }() // ended by cancel, below
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run did not return after its ctx ended")
		}
	})
	t.Cleanup(stop)
	return stop
}

// ask sends one request and returns the code and the body's error.
func ask(t *testing.T, path, method, url, body string) (int, answer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://rondo"+url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	answered, err := At(path).http.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer answered.Body.Close()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s %s answered %q, which is no JSON: %v", method, url, text, err)
	}
	return answered.StatusCode, a
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
