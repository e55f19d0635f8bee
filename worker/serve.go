package worker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// firstRequest is how long into the drain a connection may go without a whole
// request header before it is closed as unused, like a browser's connection on
// suspicion. net/http has the same bound for the same reason.
const firstRequest = 5 * time.Second

// Serve serves srv on the listeners until w drains, and returns nil when the drain
// is complete: all connections that were handed over have been accepted, each has
// had its first request answered unless none came for five seconds, requests in
// flight are finished, idle connections are closed, and every handler has
// returned, also those that hijacked their connection (WebSocket). Answers given
// during the drain end their connection, so that peers send no more on it.
//
// Serve takes srv: it wraps the Handler, ConnState and ConnContext that are set,
// and srv is not to be served by anyone else. For TLS, wrap the listeners with
// tls.NewListener. Functions of RegisterOnShutdown run once no connection waits for
// its first request; one that a long-lived handler ends by belongs there.
//
// If ctx ends first, Serve closes all connections at once and returns ctx's cause. If
// a listener fails, it does the same and returns the error. A listener that is
// closed by the program is no failure: with the last one, Serve drains as above.
// Several calls with different servers may run at the same time.
func Serve(ctx context.Context, w *Worker, srv *http.Server, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("worker: Serve without a listener")
	}
	return track(w, srv, firstRequest).run(ctx, listeners)
}

// run is Serve.
func (t *tracker) run(ctx context.Context, listeners []net.Listener) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- t.srv.Serve(l) }() // ends with l: at the drain, or by t.srv.Close
	}
	err := t.serve(ctx, ended, listeners)
	if err == nil {
		err = t.drain(ctx)
	}
	if err != nil {
		t.srv.Close()
	}
	for range t.serving {
		<-ended
	}
	if err != nil {
		t.srv.Close() // what was accepted since
	}
	return err
}

// serve returns when all listeners have ended, or with the error that ends the serving.
func (t *tracker) serve(ctx context.Context, ended <-chan error, listeners []net.Listener) error {
	t.serving = len(listeners)
	draining := t.worker.Draining()
	var late <-chan time.Time
	for t.serving > 0 {
		select {
		case err := <-ended:
			t.serving--
			if !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				return err
			}
		case <-draining:
			draining = nil
			closeForeign(listeners)
			timer := time.NewTimer(t.patience)
			defer timer.Stop()
			if !allOurs(listeners) {
				late = timer.C
			}
		case <-late:
			return nil // Shutdown closes what is neither ours nor a wrapper of ours
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// closeForeign closes listeners that do not know of the drain. One of ours must
// not be closed through a wrapper, which might drop what still waits in it; ours
// end by themselves.
func closeForeign(listeners []net.Listener) {
	for _, l := range listeners {
		switch l.(type) {
		case *net.TCPListener, *net.UnixListener:
			l.Close()
		}
	}
}

// allOurs tells whether all listeners are sure to end at the drain.
func allOurs(listeners []net.Listener) bool {
	for _, l := range listeners {
		switch l.(type) {
		case *listener, *direct, *net.TCPListener, *net.UnixListener:
		default:
			return false
		}
	}
	return true
}
