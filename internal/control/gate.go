package control

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// refusalTimeout bounds how long a stranger is waited for to take its refusal.
const refusalTimeout = 100 * time.Millisecond

// A gate lets in the connections of allowed peers, maxConnections at a time.
type gate struct {
	listener *Listener
	room     chan struct{} // holds one for each open connection
	closed   chan struct{}
	close    func()
}

func newGate(l *Listener) *gate {
	g := &gate{listener: l, room: make(chan struct{}, maxConnections), closed: make(chan struct{})}
	g.close = sync.OnceFunc(func() { close(g.closed) })
	return g
}

// Accept gives the next connection of an allowed peer.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.room <- struct{}{}:
	case <-g.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := g.listener.socket.AcceptUnix()
		if err != nil {
			<-g.room
			return nil, err
		}
		if err := admit(conn); err != nil {
			refuse(conn, err)
			continue
		}
		return &gateConn{UnixConn: conn, leave: sync.OnceFunc(func() { <-g.room })}, nil
	}
}

func admit(conn *net.UnixConn) error {
	p, err := peerOf(conn)
	if err != nil {
		return err
	}
	return p.allowed()
}

// refuse tells the peer why and closes conn. What the peer sends is read and
// forgotten: unread, it would turn our answer into a reset.
func refuse(conn *net.UnixConn, why error) {
	defer conn.Close()
	body, err := json.Marshal(answer{Error: why.Error()})
	if err != nil {
		panic(fmt.Sprintf("control: a refusal that is no JSON: %v", err))
	}
	if conn.SetDeadline(time.Now().Add(refusalTimeout)) != nil {
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		http.StatusForbidden, http.StatusText(http.StatusForbidden), len(body), body)
	if conn.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxHeader+maxBody))
	}
}

// Close ends Accept. The socket is the Listener's to close with the lock; here
// it is closed too, since that is the only way to end an accept in progress.
func (g *gate) Close() error {
	g.close()
	return g.listener.socket.Close()
}

func (g *gate) Addr() net.Addr { return g.listener.socket.Addr() }

// gateConn leaves room for another when it is closed.
type gateConn struct {
	*net.UnixConn
	leave func()
}

func (c *gateConn) Close() error {
	err := c.UnixConn.Close()
	c.leave()
	return err
}
