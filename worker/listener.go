package worker

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// maxWaiting is how many connections wait for Accept on one listener. Beyond it
// they are refused, so that other workers get them. It is far above what a master
// has in flight: only a program that does not call Accept comes here.
const maxWaiting = 1024

// listener gives the connections that the master hands over for one key.
type listener struct {
	worker *Worker
	key    string
	query  *wire.Query
	net    string // the network as Listen was asked
	addr   net.Addr

	// queue holds descriptors that were answered for. Only the reader sends, and
	// only when there is room. It is closed once no more can come.
	queue chan int

	// Guarded by worker.mu.
	stopped  bool       // takes nothing new
	arriving bool       // the reader is answering for connections of this listener
	again    []*os.File // connections that Accept had no descriptors to give
}

// connections answers for fds, the descriptors that came with m out of the want
// that it announced, and queues those that are taken. prefix goes before the
// answer. It takes fds.
//
// The answer is written whole before any of them can come out of Accept: a worker
// that dies before it has shown none of them to the application.
func (w *Worker) connections(prefix []byte, m *wire.Message, want int, fds []int) {
	if m.Seq < 0 { // there is no way to answer, so nothing can be taken
		closeAll(fds)
		w.send(prefix)
		return
	}
	l, room := w.reserve(m.Key, len(fds))
	closeAll(fds[room:])
	taken := fds[:room]
	var refused []int
	for i := room; i < want && room > 0; i++ {
		refused = append(refused, i)
	}
	w.out = append(w.out[:0], prefix...)
	w.out = wire.AppendAnswer(w.out, w.channel.next(), m.Seq, room > 0, refused)
	if err := w.channel.send(w.out); err != nil {
		closeAll(taken) // the master, if there is one, gives them to others
		taken = nil
	}
	if l != nil {
		w.queue(l, taken)
	}
}

// reserve finds the listener of key and how many of n connections it takes.
func (w *Worker) reserve(key string, n int) (l *listener, room int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l = w.listeners[key]
	if l == nil {
		return nil, 0
	}
	l.arriving = true
	return l, min(n, cap(l.queue)-len(l.queue))
}

// queue ends what reserve began.
func (w *Worker) queue(l *listener, fds []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fd := range fds {
		l.queue <- fd // has room: nobody else sends
	}
	l.arriving = false
	if l.stopped {
		close(l.queue)
	}
}

// stop makes l take nothing new and tells whether it did before. w.mu is held.
func (w *Worker) stop(l *listener) bool {
	if l.stopped {
		return false
	}
	l.stopped = true
	delete(w.listeners, l.key)
	w.releaseIndex(l.query)
	w.unclaimed[l] = struct{}{}
	if !l.arriving {
		close(l.queue)
	}
	return true
}

// Accept waits for the next connection, a *net.TCPConn or *net.UnixConn. After Close
// or the beginning of the drain it returns those that wait, then net.ErrClosed. An
// error of EMFILE or ENFILE is temporary, and the connection still waits: call
// Accept again.
func (l *listener) Accept() (net.Conn, error) {
	for {
		f := l.next()
		if f == nil {
			return nil, l.error("accept", net.ErrClosed)
		}
		conn, err := l.convert(f)
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			l.putBack(f)
			errno, _ := errors.AsType[syscall.Errno](err)
			return nil, l.error("accept", os.NewSyscallError("dup", errno))
		}
		f.Close()
		if err != nil {
			l.worker.log.Debug("connection dropped before accept", "listener", l.addr, "err", err)
			continue
		}
		return conn, nil
	}
}

// next gives the next connection, or nil when no more will come.
func (l *listener) next() *os.File {
	w := l.worker
	w.mu.Lock()
	if len(l.again) > 0 {
		f := l.again[0]
		l.again = l.again[1:]
		w.mu.Unlock()
		return f
	}
	w.mu.Unlock()
	fd, ok := <-l.queue
	if !ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.unclaimed, l)
		return nil
	}
	return sys.NewBlockingFile(fd, "connection")
}

// putBack keeps f for the next call.
func (l *listener) putBack(f *os.File) {
	l.worker.mu.Lock()
	defer l.worker.mu.Unlock()
	l.again = append(l.again, f)
	if l.stopped {
		l.worker.unclaimed[l] = struct{}{}
	}
}

// convert makes f what package net's own Accept gives, keep-alive and no-delay
// included. It borrows f, though it may close it early.
func (l *listener) convert(f *os.File) (net.Conn, error) {
	conn, err := net.FileConn(f)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		l.worker.spare.lend(func() {
			if conn, err = net.FileConn(f); err == nil {
				f.Close() // the caller would, but too late for the spare
			}
		})
	}
	if err != nil {
		return nil, err
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		conn.Close()
		return nil, errors.ErrUnsupported
	}
	if conn.RemoteAddr() == nil { // reset while it waited; accept(2) would not have lost its address
		conn.Close()
		return nil, syscall.ECONNABORTED
	}
	return conn, nil
}

// Close makes the listener take nothing new and tells the master. Connections
// that wait are still Accept's to give.
func (l *listener) Close() error {
	w := l.worker
	w.mu.Lock()
	first := w.stop(l)
	w.mu.Unlock()
	if !first {
		return l.error("close", net.ErrClosed)
	}
	w.send(wire.AppendClose(nil, w.channel.next(), l.key))
	return nil
}

// Addr is the address that the master shows for the listener.
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) error(op string, err error) error {
	return &net.OpError{Op: op, Net: l.net, Addr: l.addr, Err: err}
}
