package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// Listen gives a listener. The network is tcp, tcp4, tcp6 or unix and the address
// as for net.Listen; or the network is activation and the address a name that the
// service manager gave to a socket (FileDescriptorName=).
//
// Under a master the listener is the master's, shared by all workers that ask for
// the same address. Without one it is the socket that the service manager passed for
// that address, else a new one.
//
// If ctx ends before the master has answered, Listen returns its cause. When the
// worker drains, the error is net.ErrClosed. The listener's Accept and Close are
// those of any net.Listener with one difference: connections that were handed over
// before Close or the drain are still returned by Accept, and only then net.ErrClosed.
func (w *Worker) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if w.channel == nil {
		return w.listenAlone(ctx, network, address)
	}
	ask, addr, err := w.ask(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: err}
	}
	q := &query{network: network, ask: ask, addr: addr, reply: make(chan reply, 1)}
	r, err := w.await(ctx, q)
	if err != nil {
		return nil, q.error(err)
	}
	l, err := w.opened(q, r)
	if err != nil {
		return nil, q.error(err)
	}
	return l, nil
}

// await asks the master and waits for its answer.
func (w *Worker) await(ctx context.Context, q *query) (reply, error) {
	if err := w.submit(q); err != nil {
		return reply{}, err
	}
	select {
	case r := <-q.reply:
		return r, r.err
	case <-ctx.Done():
		w.abandon(q)
		return reply{}, context.Cause(ctx)
	case <-w.draining: // the master answers no query of a worker that leaves
		w.abandon(q)
		return reply{}, net.ErrClosed
	}
}

// query is one question to the master.
type query struct {
	network   string
	ask       *wire.Query
	addr      net.Addr   // as asked
	reply     chan reply // takes one without blocking the reader
	seq       int64
	abandoned bool // guarded by Worker.mu: nobody waits for the reply
}

// reply is what came of it: a listener, the key and file of one to accept from by
// ourselves, or an error.
type reply struct {
	listener *listener
	key      string
	file     *os.File
	err      error
}

func (q *query) error(err error) error {
	return &net.OpError{Op: "listen", Net: q.network, Addr: q.addr, Err: err}
}

// index numbers the listeners of one tuple in this process.
type index struct{ next, open int }

// submit sends q.
func (w *Worker) submit(q *query) error {
	w.mu.Lock()
	if w.drained {
		w.mu.Unlock()
		return net.ErrClosed
	}
	i := w.indexes[q.ask.Tuple()]
	if i == nil {
		i = &index{}
		w.indexes[q.ask.Tuple()] = i
	}
	q.ask.Index = i.next
	i.next, i.open = i.next+1, i.open+1
	q.seq = w.channel.next()
	w.queries[q.seq] = q
	w.mu.Unlock()
	if err := w.channel.send(wire.AppendQuery(nil, q.seq, q.ask)); err != nil {
		w.abandon(q)
		return err
	}
	return nil
}

// releaseIndex ends the use of a query's index. w.mu is held.
func (w *Worker) releaseIndex(ask *wire.Query) {
	i := w.indexes[ask.Tuple()]
	if i.open--; i.open == 0 {
		delete(w.indexes, ask.Tuple())
	}
}

// abandon ends the wait for q. A listener that the master opens yet is closed.
func (w *Worker) abandon(q *query) {
	w.mu.Lock()
	q.abandoned = true
	_, waiting := w.queries[q.seq]
	w.mu.Unlock()
	if waiting {
		return
	}
	switch r := <-q.reply; { // it was faster
	case r.listener != nil:
		r.listener.Close()
	case r.file != nil:
		r.file.Close()
		w.closeKey(r.key, q.ask)
	}
}

// closeKey tells the master that nobody listens on key.
func (w *Worker) closeKey(key string, ask *wire.Query) {
	w.mu.Lock()
	w.releaseIndex(ask)
	w.mu.Unlock()
	w.send(wire.AppendClose(nil, w.channel.next(), key))
}

// answered acts on the master's answer to a message of ours, on the reader's
// goroutine. It takes fd, which is -1 without one.
func (w *Worker) answered(m *wire.Message, fd int) {
	var file *os.File
	if fd >= 0 {
		file = sys.NewFile(fd, "listener")
	}
	w.mu.Lock()
	q := w.queries[m.Ack]
	if q == nil {
		if m.Ack >= 0 && m.Ack == w.exited {
			w.release()
		}
		w.mu.Unlock()
		closeFile(file)
		return
	}
	delete(w.queries, m.Ack)
	r, unwanted := w.resolve(q, m, file)
	q.reply <- r
	w.mu.Unlock()
	if unwanted {
		closeFile(file)
		w.closeKey(m.Key, q.ask)
	}
}

// resolve turns an answer into a reply, or tells that the listener which the
// master opened is unwanted. A listener is in the table when resolve returns,
// because its first connection may be the next line. w.mu is held.
func (w *Worker) resolve(q *query, m *wire.Message, file *os.File) (r reply, unwanted bool) {
	addr, err := q.bound(m)
	switch {
	case m.Errno != 0:
	case m.Key == "":
		err = errors.New("the master's answer has no key")
	case w.listeners[m.Key] != nil:
		err = fmt.Errorf("the master gave the key %q twice", m.Key)
	case err != nil:
		return reply{err: err}, true
	case w.drained || q.abandoned:
		return reply{err: net.ErrClosed}, true
	case file == nil && q.ask.Datagram():
		return reply{err: errors.New("the master's answer has no socket")}, true
	}
	if err != nil {
		w.releaseIndex(q.ask)
		closeFile(file)
		return reply{err: err}, false
	}
	q.addr = addr
	if file != nil {
		return reply{key: m.Key, file: file}, false
	}
	l := &listener{
		worker: w, key: m.Key, query: q.ask, net: q.network, addr: addr,
		queue: make(chan int, maxWaiting),
	}
	w.listeners[m.Key] = l
	return reply{listener: l}, false
}

// bound gives the address of the answer.
func (q *query) bound(m *wire.Message) (net.Addr, error) {
	switch {
	case m.Errno < 0:
		return nil, os.NewSyscallError("bind", syscall.Errno(-m.Errno))
	case m.Errno > 0:
		return nil, fmt.Errorf("the master's answer has errno %d", m.Errno)
	case m.Sockname == nil:
		return q.addr, nil
	case m.Sockname.Family == "unix":
		return &net.UnixAddr{Name: m.Sockname.Address, Net: "unix"}, nil
	}
	if q.ask.Port > 0 && m.Sockname.Port != q.ask.Port {
		return nil, os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	ip, _ := netip.ParseAddr(m.Sockname.Address) // the zero one shows as any
	return &net.TCPAddr{IP: ip.AsSlice(), Port: m.Sockname.Port, Zone: ip.Zone()}, nil
}

// opened makes the reply the caller's listener and tells the master that it listens.
func (w *Worker) opened(q *query, r reply) (net.Listener, error) {
	var l net.Listener = r.listener
	if r.file != nil {
		var err error
		if l, err = w.shared(q, r); err != nil {
			return nil, err
		}
	}
	w.listening(q, l.Addr())
	return l, nil
}

// listening tells the master that what it opened for q is listened on.
func (w *Worker) listening(q *query, at net.Addr) {
	ask := *q.ask
	switch at := at.(type) {
	case *net.TCPAddr:
		ask.Port = at.Port
	case *net.UDPAddr:
		ask.Port = at.Port
	}
	w.send(wire.AppendListening(nil, w.channel.next(), &ask))
}
