package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/worker"
)

// roles are the workers that the test binary can be.
var roles = map[string]func() int{
	"go":   goWorker,
	"fail": func() int { fmt.Println("this program is broken"); return 3 },
}

// goWorker is an HTTP server on the Go library. TEST_LISTEN is the address.
func goWorker() int {
	if os.Getenv("TEST_BROKEN") != "" {
		fmt.Println("this version is broken")
		return 3
	}
	w, err := worker.Join(worker.Config{})
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
	if err := worker.Serve(context.Background(), w, &http.Server{Handler: ledger.Handler(who)}, ln); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func network() string {
	if n := os.Getenv("TEST_NETWORK"); n != "" {
		return n
	}
	return "tcp"
}
