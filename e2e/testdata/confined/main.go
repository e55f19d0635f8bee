// confined answers what became of a connection that it made itself: to rondo's own
// port, where somebody listens if there is a network.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

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
	http.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, attempt()) })
	if err := worker.Serve(ctx, w, &http.Server{}, l); err != nil {
		log.Fatal(err)
	}
}

func attempt() string {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:8080", 10*time.Second)
	if err == nil {
		conn.Close()
		return "connected"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}
