// go-echo sends back what it receives, over raw TCP. It shows the drain without
// net/http: Accept ends, then the program waits for the connections it holds.
//
//	go build -o go-echo ./examples/go-echo
//	rondo run --listen 7000 -- ./go-echo     several workers behind one socket
//	./go-echo                                or alone
//	nc 127.0.0.1 7000
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/rondokit/rondo/worker"
)

func main() {
	w, err := worker.Join(worker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	l, err := w.Listen(context.Background(), "tcp", ":7000")
	if err != nil {
		log.Fatal(err)
	}
	var held sync.WaitGroup
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break // the drain: everything that was handed over has been accepted
		}
		if err != nil {
			log.Print(err) // too many open files: the connection waits, and so do we
			time.Sleep(10 * time.Millisecond)
			continue
		}
		held.Go(func() {
			defer conn.Close()
			io.Copy(conn, conn)
		})
	}
	held.Wait()
}
