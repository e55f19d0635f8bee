// hello is the Go app of every side: it answers each request with its process id.
// Alone it is a plain net/http server; under rondo it is a worker.
//
// BENCH_LISTEN is where it listens, a comma between addresses. When it listens
// everywhere, it connects once to the unix socket BENCH_READY, if that is set.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/rondokit/rondo/worker"
)

func main() {
	addresses := strings.Split(os.Getenv("BENCH_LISTEN"), ",")
	body := fmt.Appendf(nil, "%d\n", os.Getpid())
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Write(body)
	})}
	serve := alone
	if os.Getenv("NODE_CHANNEL_FD") != "" {
		serve = asWorker
	}
	if err := serve(context.Background(), server, addresses); err != nil {
		log.Fatal("hello: ", err)
	}
}

// asWorker serves what the master hands over.
func asWorker(ctx context.Context, server *http.Server, addresses []string) error {
	w, err := worker.Join(worker.Config{})
	if err != nil {
		return err
	}
	var listeners []net.Listener
	for _, address := range addresses {
		l, err := w.Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	if err := tellReady(); err != nil {
		return err
	}
	return worker.Serve(ctx, w, server, listeners...)
}

// alone knows nothing of rondo. It serves one address, or the socket that the init
// system passed.
func alone(_ context.Context, server *http.Server, addresses []string) error {
	var l net.Listener
	var err error
	if os.Getenv("LISTEN_FDS") != "" {
		l, err = net.FileListener(os.NewFile(3, "passed"))
	} else {
		l, err = net.Listen("tcp", addresses[0])
	}
	if err != nil {
		return err
	}
	if err := tellReady(); err != nil {
		return err
	}
	return server.Serve(l)
}

func tellReady() error {
	path := os.Getenv("BENCH_READY")
	if path == "" {
		return nil
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	return c.Close()
}
