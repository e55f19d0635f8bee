// The app: an HTTP server of Go that rondo runs.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/rondokit/rondo/worker"
)

// version is set by release.sh.
var version = "devel"

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
	http.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, "version %s, process %d\n", version, os.Getpid())
	})
	if err := worker.Serve(ctx, w, &http.Server{}, l); err != nil {
		log.Fatal(err)
	}
}
