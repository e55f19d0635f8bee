package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// afterLoss is the wait after a request that was not answered, so that a
	// server that refuses is not hammered and the books stay of a size.
	afterLoss = 10 * time.Millisecond
	// partWait bounds the wait for the server's close after the last answer of a
	// connection. Closing is not part of the answer: it is flagged, not lost.
	partWait = time.Second
)

// caller is one concurrent client: one request at a time, on one connection.
type caller struct {
	cfg   Config
	n     int
	rand  *rand.Rand
	conn  *conn // nil if the next request needs a new one
	books books

	last   string    // id answered last on conn
	lastAt time.Time // when it was begun
}

func newCaller(cfg Config, n int) *caller {
	return &caller{
		cfg: cfg, n: n,
		rand:  rand.New(rand.NewPCG(cfg.Seed, uint64(n))),
		books: newBooks(),
	}
}

// run makes requests until there are enough or ctx ends.
func (k *caller) run(ctx context.Context) {
	for n := 0; k.cfg.Requests == 0 || n < k.cfg.Requests; n++ {
		if ctx.Err() != nil {
			break
		}
		class := k.request(ctx, requestID(k.cfg, k.n, n))
		k.pause(ctx, class)
	}
	if k.conn != nil {
		k.extra(k.conn.leave(k.partWait()))
	}
}

// request makes one request: an attempt, and a second if the first met a
// connection that the server closed idle.
func (k *caller) request(ctx context.Context, id string) Class {
	began := time.Now()
	k.books.requests++
	class := k.attempt(ctx, id, began)
	if class == ClosedIdle {
		k.books.retried++
		class = k.attempt(ctx, retryID(id), began)
	}
	return class
}

// attempt sends one request on the kept connection, or else on a new one, and
// enters what became of it. The latency counts from began.
func (k *caller) attempt(ctx context.Context, id string, began time.Time) Class {
	started := time.Now()
	k.books.sent++
	if err := k.connect(ctx); err != nil {
		class := dialClass(err)
		k.books.fail(Failure{ID: id, Class: class, Started: started, Ended: time.Now(), Err: err})
		return class
	}
	v := k.conn.ask(id, request(k.cfg, id), time.Now().Add(k.cfg.Hang))
	for _, again := range v.again {
		k.books.again(k.conn.failure(again, Twice, started, errors.New("an answer once more")))
	}
	if v.class != Answered {
		k.books.fail(k.conn.failure(id, v.class, started, v.err))
		k.conn.Close()
		k.conn = nil
		return v.class
	}
	k.books.answer(k.conn.who, time.Since(began))
	k.conn.answered[id] = true
	if k.cfg.Answered != nil {
		k.cfg.Answered(k.conn.who)
	}
	k.last, k.lastAt = id, started
	k.part(v.last)
	return Answered
}

// part parts from a connection that has given its last answer, or one answer too
// many; any other it keeps for the next request.
func (k *caller) part(last bool) {
	if k.cfg.Mode != Kept || last {
		extra, late := k.conn.await(k.partWait())
		if late {
			k.books.unclosed++
		}
		k.extra(extra)
		k.conn = nil
		return
	}
	if n := k.conn.in.Buffered(); n > 0 {
		k.extra(int64(n))
		k.conn.Close()
		k.conn = nil
	}
}

func (k *caller) partWait() time.Duration { return min(partWait, k.cfg.Hang) }

// extra enters bytes that came after the last answer on the connection.
func (k *caller) extra(n int64) {
	if n > 0 {
		err := fmt.Errorf("%d bytes after the answer", n)
		k.books.again(k.conn.failure(k.last, Twice, k.lastAt, err))
	}
}

// pause waits as the class of the last request asks, or until ctx ends.
func (k *caller) pause(ctx context.Context, class Class) {
	wait := time.Duration(k.rand.Int64N(int64(k.cfg.Think) + 1))
	if class != Answered {
		wait += afterLoss
	}
	if wait == 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// connect sees to it that there is a connection.
func (k *caller) connect(ctx context.Context) error {
	if k.conn != nil {
		return nil
	}
	c, err := dial(ctx, k.cfg)
	if err != nil {
		return err
	}
	k.conn = c
	k.books.connected(c.took)
	return nil
}
