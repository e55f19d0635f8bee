package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/worker"
)

// roles are the workers that the test binary can be.
var roles = map[string]func() int{
	"go":   goWorker,
	"tls":  tlsWorker,
	"fail": func() int { fmt.Println("this program is broken"); return 3 },

	"failslot":  func() int { return unlessSlot(os.Getenv("TEST_FAIL_SLOT"), goWorker) },
	"deaf":      deafWorker,
	"waitready": func() int { return serve(worker.Config{WaitReady: true}) },
	"stubborn":  stubbornWorker,
	"talker":    talkingWorker,
	"hostile":   hostileWorker,
	"orphan":    orphanWorker,
	"flood":     floodingWorker,
	"idle":      idle,
	"datagram":  datagramWorker,
	"inherit":   inheritWorker,
	"master":    masterProcess,
}

// takenVar names a file in which Go workers enter each connection that they take: the
// peer's address, their pid, the time in nanoseconds.
const takenVar = "TEST_TAKEN"

// goWorker is an HTTP server on the Go library. TEST_LISTEN is the address.
func goWorker() int { return serve(worker.Config{}) }

func serve(cfg worker.Config) int {
	w, err := worker.Join(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	who := ledger.Who{Worker: w.ID(), PID: os.Getpid(), Generation: w.Generation()}
	ln, err := w.Listen(context.Background(), network(), os.Getenv("TEST_LISTEN"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if cfg.WaitReady {
		if err := w.Ready(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	srv := &http.Server{Handler: ledger.Handler(who)}
	if name := os.Getenv(takenVar); name != "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			// In one write, and before anything is read from c.
			if _, err := fmt.Fprintln(f, c.RemoteAddr(), os.Getpid(), time.Now().UnixNano()); err != nil {
				panic(err)
			}
			return ctx
		}
	}
	if err := worker.Serve(context.Background(), w, srv, ln); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// unlessSlot fails in one slot and is run in the others.
func unlessSlot(slot string, run func() int) int {
	if os.Getenv("RONDO_SLOT") == slot {
		return 3
	}
	return run()
}

// deafWorker joins and never listens.
func deafWorker() int {
	w, err := worker.Join(worker.Config{})
	if err != nil {
		return 1
	}
	<-w.Draining()
	return 0
}

// stubbornWorker listens, and neither drains nor heeds SIGTERM.
func stubbornWorker() int {
	signal.Ignore(syscall.SIGTERM)
	w, err := worker.Join(worker.Config{})
	if err != nil {
		return 1
	}
	if _, err := w.Listen(context.Background(), "tcp", os.Getenv("TEST_LISTEN")); err != nil {
		return 1
	}
	select {}
}

// talkingWorker says things on both outputs before it serves.
func talkingWorker() int {
	slot := os.Getenv("RONDO_SLOT")
	fmt.Println("out of slot", slot)
	fmt.Fprintln(os.Stderr, "err of slot", slot)
	var st syscall.Stat_t
	if syscall.Fstat(1, &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino) {
		fmt.Println("JOURNAL_STREAM is right")
	}
	fmt.Println(strings.Repeat("x", 40_000))
	fmt.Println("no newline at the end")
	return goWorker()
}

func network() string {
	if n := os.Getenv("TEST_NETWORK"); n != "" {
		return n
	}
	return "tcp"
}
