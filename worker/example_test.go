package worker_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/rondokit/rondo/worker"
)

func Example() {
	ctx := context.Background()
	w, err := worker.Join(worker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	l, err := w.Listen(ctx, "tcp", "127.0.0.1:0") // yours: ":8080"
	if err != nil {
		log.Fatal(err)
	}
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(rw, "hello")
		w.Drain() // only here, to end the example: a master does it when it replaces us
	})
	go http.Get("http://" + l.Addr().String())

	if err := worker.Serve(ctx, w, &http.Server{Handler: handler}, l); err != nil {
		log.Fatal(err)
	}
	fmt.Println("drained")
	// Output: drained
}
