package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/wire"
)

// ListenPacket gives a datagram socket. The network is udp, udp4, udp6 or unixgram and
// the address as for net.ListenPacket; or the network is activation and the address a
// name that the service manager gave to a socket.
//
// Under a master the socket is the master's, shared by all workers that ask for the same
// address: the kernel gives each datagram to one of those that read. The connection
// embeds a *net.UDPConn, whose methods it has. Unixgram is not supported there: the error
// wraps errors.ErrUnsupported. Without a master it is the socket that the service manager
// passed for the address, once, else a new one.
//
// The drain leaves it open: what it owes to whom, only the program knows. A worker that
// drains and reads on takes datagrams from its successor, so it should stop reading when
// Draining is closed, and close the socket when it has answered.
func (w *Worker) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	if w.channel == nil {
		return w.listenPacketAlone(ctx, network, address)
	}
	ask, addr, err := w.askPacket(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	q := &query{network: network, ask: ask, addr: addr, reply: make(chan reply, 1)}
	r, err := w.await(ctx, q)
	if err != nil {
		return nil, q.error(err)
	}
	conn, err := w.packetConn(q, r)
	if err != nil {
		return nil, q.error(err)
	}
	w.listening(q, conn.LocalAddr())
	return conn, nil
}

// packetConn is a datagram socket of the master's.
type packetConn struct {
	*net.UDPConn
	once    sync.Once
	release func()
}

// packetConn makes the socket of r a connection. It takes r.
func (w *Worker) packetConn(q *query, r reply) (*packetConn, error) {
	defer r.file.Close()
	release := func() { w.closeKey(r.key, q.ask) }
	inner, err := net.FilePacketConn(r.file)
	if err != nil {
		release()
		return nil, err
	}
	udp, ok := inner.(*net.UDPConn)
	if !ok {
		inner.Close()
		release()
		return nil, fmt.Errorf("the master gave a %s socket: %w", inner.LocalAddr().Network(), errors.ErrUnsupported)
	}
	return &packetConn{UDPConn: udp, release: release}, nil
}

// Close closes this process's descriptor and tells the master. The others keep theirs.
func (c *packetConn) Close() error {
	err := c.UDPConn.Close()
	c.once.Do(c.release)
	return err
}

// askPacket is ask for datagram sockets.
func (w *Worker) askPacket(ctx context.Context, network, address string) (*wire.Query, net.Addr, error) {
	switch network {
	case "udp", "udp4", "udp6":
		q, at, err := askInternet(ctx, network, address)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case q.Address == "": // as package net has it, a socket of both families
			if q.Type = wire.UDP6; !w.named {
				q.Address = "::" // which Node's primary needs
			}
		case q.Type == wire.IPv4:
			q.Type = wire.UDP4
		default:
			q.Type = wire.UDP6
		}
		return q, (*net.UDPAddr)(at), nil
	case "unixgram":
		return nil, nil, fmt.Errorf("unix datagram sockets of a master: %w", errors.ErrUnsupported)
	case "activation":
		q, _, err := w.ask(ctx, network, address)
		if err != nil {
			return nil, nil, err
		}
		q.Type = wire.UDP4
		return q, &net.UDPAddr{}, nil
	}
	return nil, nil, net.UnknownNetworkError(network)
}

// listenPacketAlone is ListenPacket without a master.
func (w *Worker) listenPacketAlone(ctx context.Context, network, address string) (net.PacketConn, error) {
	p, err := w.findPassed(ctx, network, address, activation.UDP, activation.Unixgram)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	if p == nil {
		var config net.ListenConfig
		return config.ListenPacket(ctx, network, address)
	}
	conn, err := net.FilePacketConn(p.File)
	if err != nil {
		w.giveBack(p)
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return conn, nil
}
