// go-http is an HTTP server that loses no request when rondo replaces it.
//
//	go build -o go-http ./examples/go-http
//	rondo run --listen 8080 -- ./go-http     several workers behind one socket
//	./go-http                                or alone
//	curl http://127.0.0.1:8080/
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/rondokit/rondo/worker"
)

func main() {
	ctx := context.Background()
	w, err := worker.Join(worker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	l, err := w.Listen(ctx, "tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "worker %d, generation %d, pid %d\n", w.ID(), w.Generation(), os.Getpid())
	})
	if err := worker.Serve(ctx, w, &http.Server{}, l); err != nil {
		log.Fatal(err)
	}
}
