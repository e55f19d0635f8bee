package ledger

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	// The runtime opens its poller with the first socket and keeps it: before any
	// test counts descriptors.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	l.Close()
	os.Exit(m.Run())
}

// peer is the server's end of one connection.
type peer struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

// serve runs a server that gives its nth connection, from 0, to script, and
// closes it when script returns. At the end of the test all is gone, or it fails.
func serve(t *testing.T, network string, script func(n int, p *peer)) (address string) {
	t.Helper()
	watchLeaks(t)
	address = "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup // ends when l closes and the ledger has left
	conns.Go(func() {
		for n := 0; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				script(n, &peer{t: t, Conn: nc, in: bufio.NewReader(nc)})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

// watchLeaks fails the test if, after its other cleanups, it holds more
// goroutines or descriptors than now.
func watchLeaks(t *testing.T) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	t.Cleanup(func() {
		// A goroutine that was joined may still be on its way out.
		for guard := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
			if time.Now().After(guard) {
				t.Errorf("%d goroutines after the test, %d before", runtime.NumGoroutine(), goroutines)
				break
			}
		}
		if now := openFiles(); now > files {
			t.Errorf("%d descriptors after the test, %d before", now, files)
		}
	})
}

// openFiles is the number of descriptors; always 0 where there is no /proc.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// next reads a request and gives its id; ok is false at the connection's end.
func (p *peer) next() (id string, ok bool) {
	r, err := http.ReadRequest(p.in)
	if err != nil {
		return "", false
	}
	return r.Header.Get(IDHeader), true
}

// gone returns when the ledger has closed the connection.
func (p *peer) gone() {
	for {
		if _, err := p.in.Discard(1); err != nil {
			return
		}
	}
}

// say writes text in one piece.
func (p *peer) say(text string) {
	if _, err := p.Write([]byte(text)); err != nil {
		p.t.Errorf("server: %v", err)
	}
}

// reset closes the connection with a reset.
func (p *peer) reset() {
	if err := p.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		p.t.Errorf("server: %v", err)
	}
	p.Close()
}

// good answers every request as it should.
func (p *peer) good() {
	for {
		id, ok := p.next()
		if !ok {
			return
		}
		p.say(answerTo(id, ""))
	}
}

// goodOnce answers one request and returns, which closes the connection.
func (p *peer) goodOnce() {
	if id, ok := p.next(); ok {
		p.say(answerTo(id, ""))
	}
}

var someone = Who{Worker: 3, PID: 77, Generation: 2}

// answerTo is the right answer to id, with more header lines.
func answerTo(id, more string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\n%s: %s\r\n%s: %d\r\n%s: %d\r\n%s: %d\r\nContent-Length: %d\r\n%s\r\n%s\n",
		IDHeader, id, WorkerHeader, someone.Worker, PIDHeader, someone.PID, GenerationHeader, someone.Generation,
		len(id)+1, more, id)
}

// run runs a ledger to its end.
func run(t *testing.T, ctx context.Context, cfg Config) Report {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counts are the figures of a report that a test plans.
type counts struct {
	Requests, Sent, Answered, Lost, ClosedIdle, Cut, Twice, Connections int
}

func (want counts) check(t *testing.T, r Report) {
	t.Helper()
	got := counts{r.Requests, r.Sent, r.Answered, r.Lost, r.ClosedIdle, r.Cut, r.Twice, r.Connections}
	if got != want {
		t.Errorf("counts\n got %+v,\nwant %+v\n%s", got, want, r)
	}
	err := r.Check()
	if bad := want.Lost > 0 || want.Twice > 0; bad != (err != nil) {
		t.Errorf("Check() = %v with %d lost and %d twice", err, want.Lost, want.Twice)
	}
}

// checkClass checks that all that was not answered is n of class.
func (r Report) checkClass(t *testing.T, class Class, n int) {
	t.Helper()
	if r.Classes[class] != n || sum(r.Classes) != n {
		t.Errorf("classes %v, want %d %s and no other\n%s", r.Classes, n, class, r)
	}
}
