package worker

import (
	"context"
	"fmt"
	"net"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/sys"
)

// passed is a socket of the service manager in a process without a master.
type passed struct {
	activation.Socket
	used bool // guarded by Worker.mu: a listener is open on it
}

// takePassed takes what the service manager passed to this process.
func (w *Worker) takePassed() error {
	sockets, err := activation.Take()
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	for _, s := range sockets {
		w.passed = append(w.passed, &passed{Socket: s})
	}
	return nil
}

// closePassed closes the sockets of the service manager, which keeps its own.
func (w *Worker) closePassed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.passed {
		p.File.Close()
	}
	w.passed = nil
}

// listenAlone is Listen without a master: a passed socket, else a new one.
func (w *Worker) listenAlone(ctx context.Context, network, address string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	p, err := w.findPassed(ctx, network, address, activation.TCP, activation.Unix)
	if err != nil {
		return fail(err)
	}
	var inner net.Listener
	release := func() {}
	if p != nil {
		release = func() { w.giveBack(p) }
		if inner, err = p.listen(); err != nil {
			release()
			return fail(err)
		}
	} else {
		var config net.ListenConfig
		if inner, err = config.Listen(ctx, network, address); err != nil {
			return nil, err
		}
		w.warnBeside(inner.Addr())
	}
	l, err := w.direct(inner, release)
	if err != nil {
		return fail(err)
	}
	return l, nil
}

// warnBeside logs that a listener is none of the passed sockets: perhaps it was meant to be.
func (w *Worker) warnBeside(own net.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.passed) > 0 {
		w.log.Warn("bound a socket beside those that were passed", "listener", own, "passed", names(w.passed))
	}
}

// listen gives a listener on the socket, which may have been passed bound only.
func (p *passed) listen() (net.Listener, error) {
	if !p.Listening {
		if err := sys.Listen(p.File, 0); err != nil {
			return nil, err
		}
	}
	return net.FileListener(p.File)
}

func (w *Worker) giveBack(p *passed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.used = false
}
