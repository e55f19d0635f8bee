package ledger

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// synRetry is the shortest connect that is taken for a silent SYN retry. The
// kernel's first retry comes after 1 s.
const synRetry = 900 * time.Millisecond

// conn is one connection and what was seen on it.
type conn struct {
	net.Conn
	in       *bufio.Reader // reads through conn.Read
	opened   time.Time
	took     time.Duration // to connect
	answered map[string]bool
	who      Who // of the last head seen

	seen   int64 // bytes read, all told
	before int64 // value of seen where the present answer begins
	err    error // that ended reading
}

// dial gives a connection. It does not end with ctx, which stops new requests
// and not those under way.
func dial(ctx context.Context, cfg Config) (*conn, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DialTimeout)
	defer cancel()
	began := time.Now()
	nc, err := cfg.Dial(ctx, cfg.Network, cfg.Address)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &conn{Conn: nc, opened: now, took: now.Sub(began), answered: make(map[string]bool)}
	c.in = bufio.NewReader(c)
	return c, nil
}

// dialClass is the class of an attempt that got no connection.
func dialClass(err error) Class {
	// A unix socket whose queue is full says EAGAIN, which Go calls a timeout. It
	// is an answer at once.
	if errors.Is(err, syscall.EAGAIN) {
		return Refused
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return DialTimeout
	}
	return Refused
}

// Read counts what comes and remembers why no more will.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// mark makes what has not been parsed yet the beginning of the next answer.
func (c *conn) mark() { c.before = c.seen - int64(c.in.Buffered()) }

// bytes is how much of the present answer was seen.
func (c *conn) bytes() int64 { return c.seen - c.before }

// class is the class of an attempt whose answer could not be read.
func (c *conn) class(err error) Class {
	switch {
	case c.err == nil, errors.Is(err, errNoAnswer):
		return Malformed // the bytes came, and were no answer
	case errors.Is(c.err, os.ErrDeadlineExceeded):
		return Hung
	case c.bytes() > 0:
		return Broken
	case len(c.answered) > 0:
		return ClosedIdle
	default:
		return Dropped
	}
}

// await waits for the server to close the connection, then closes it. Bytes that
// come in between belong to no request. late means that the server did not close.
func (c *conn) await(wait time.Duration) (extra int64, late bool) {
	defer c.Close()
	// Fails only on a closed connection, which the read below reports.
	_ = c.SetReadDeadline(time.Now().Add(wait))
	// A reset here takes nothing away: the answer is whole.
	extra, err := io.Copy(io.Discard, c.in)
	return extra, errors.Is(err, os.ErrDeadlineExceeded)
}

// leave says that no more requests come and then awaits the server's close.
func (c *conn) leave(wait time.Duration) (extra int64) {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails if the server has closed, which await sees
	}
	extra, _ = c.await(wait) // nothing obliges a server to close on half a close
	return extra
}

// failure describes an attempt that ended on c now.
func (c *conn) failure(id string, class Class, began time.Time, err error) Failure {
	now := time.Now()
	return Failure{
		ID: id, Class: class, Who: c.who, Started: began, Ended: now,
		Local: c.LocalAddr().String(), ConnAge: now.Sub(c.opened),
		Before: len(c.answered), Bytes: c.bytes(), Err: err,
	}
}
