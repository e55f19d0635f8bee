package worker

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// tracker knows which connections of a server have not had their first request.
//
// http.Server.Shutdown is of no use for those: it drops a request whose header
// is read after Shutdown began (go1.26.8, conn.serve), and the peer sees its new
// connection end without an answer. So Shutdown must wait until each has reached its
// handler.
type tracker struct {
	worker   *Worker
	srv      *http.Server
	patience time.Duration // how long into the drain a first request may take
	serving  int           // listeners that have not ended

	work sync.WaitGroup // handlers, and closing

	mu    sync.Mutex // guards fresh and empty
	fresh map[net.Conn]struct{}
	empty chan struct{} // when not nil: closed when fresh becomes empty
}

// markKey finds the mark of a request's connection in its context.
type markKey struct{}

// mark is a connection's own part of the tracking, so that only its first request
// takes the lock that all connections share.
type mark struct {
	conn   net.Conn
	served atomic.Bool
}

// track wraps the hooks of srv.
func track(w *Worker, srv *http.Server, patience time.Duration) *tracker {
	t := &tracker{worker: w, srv: srv, patience: patience, fresh: map[net.Conn]struct{}{}}
	handler, state, connContext := srv.Handler, srv.ConnState, srv.ConnContext
	if handler == nil {
		handler = http.DefaultServeMux
	}
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			t.add(c)
		case http.StateHijacked, http.StateClosed:
			t.remove(c)
		}
		if state != nil {
			state(c, s)
		}
	}
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		ctx = context.WithValue(ctx, markKey{}, &mark{conn: c})
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		return ctx
	}
	srv.Handler = t.handle(handler)
	return t
}

// handle wraps the handler of the program.
func (t *tracker) handle(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		t.work.Add(1)
		defer t.work.Done()
		if m, ok := r.Context().Value(markKey{}).(*mark); ok && !m.served.Load() {
			m.served.Store(true)
			t.remove(m.conn)
		}
		select {
		case <-t.worker.draining:
			if r.Header.Get("Upgrade") == "" { // an upgrade has its own Connection header
				rw.Header().Set("Connection", "close")
			}
		default:
		}
		handler.ServeHTTP(rw, r)
	})
}

func (t *tracker) add(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh[c] = struct{}{}
}

func (t *tracker) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.fresh, c)
	if len(t.fresh) == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// closeFresh closes the connections without a first request. Shutdown would let
// them wait on, but no longer answer them.
func (t *tracker) closeFresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.fresh {
		t.work.Go(func() { c.Close() }) // over TLS it may wait to say goodbye, five seconds at most
	}
}

// drain returns when nothing is left, or when ctx ends.
func (t *tracker) drain(ctx context.Context) error {
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case <-t.none():
	case <-timer.C:
		t.closeFresh()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := t.srv.Shutdown(ctx); ctx.Err() != nil {
		return context.Cause(ctx)
	} else if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // ends with the last handler; when ctx ends first, it outlives Serve like that handler
		t.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// none gives a channel that is closed when no connection waits for its first request.
func (t *tracker) none() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	none := make(chan struct{})
	if len(t.fresh) == 0 {
		close(none)
	} else {
		t.empty = none
	}
	return none
}
