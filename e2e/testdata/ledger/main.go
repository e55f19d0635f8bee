// ledger is a program of Go that answers as internal/ledger asks.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/worker"
)

func main() {
	ctx := context.Background()
	w, err := worker.Join(worker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	l, err := w.Listen(ctx, "tcp", ":3000")
	if err != nil {
		log.Fatal(err)
	}
	who := ledger.Who{Worker: w.ID(), PID: os.Getpid(), Generation: w.Generation()}
	if err := worker.Serve(ctx, w, &http.Server{Handler: ledger.Handler(who)}, l); err != nil {
		log.Fatal(err)
	}
}
