package worker

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// askingPacket calls ListenPacket; result waits for what it gives.
func askingPacket(ctx context.Context, w *Worker, network, address string) (result func() (net.PacketConn, error)) {
	type opened struct {
		conn net.PacketConn
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		conn, err := w.ListenPacket(ctx, network, address)
		done <- opened{conn, err}
	}()
	return func() (net.PacketConn, error) {
		o := <-done
		return o.conn, o.err
	}
}

func TestADatagramSocketOfTheMasterIsShared(t *testing.T) {
	m, w := joinMaster(t, Config{})
	ours, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	result := askingPacket(t.Context(), w, "udp", ours.LocalAddr().String())
	q := m.want(wire.QueryServer)
	fd, err := sys.DupFile(ours.(*net.UDPConn))
	if err != nil {
		t.Fatal(err)
	}
	m.write(wire.AppendShare(nil, m.nextSeq(), q.Seq, "k", true, nil), fd)
	sys.Close(fd)
	m.want(wire.HandleAck)
	if got, want := m.want(wire.Listening).Query.Port, ours.LocalAddr().(*net.UDPAddr).Port; got != want {
		t.Errorf("listening on port %d, want %d", got, want)
	}
	conn, err := result()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := conn.(interface {
		ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	}); !ok {
		t.Errorf("%T has no ReadMsgUDP, which a *net.UDPConn has", conn)
	}
	peer, err := net.Dial("udp", ours.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	buf := make([]byte, 10)
	peer.Write([]byte("ping"))
	n, from, err := conn.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ping" {
		t.Fatalf("ReadFrom = %q, %v, want ping", buf[:n], err)
	}
	conn.WriteTo([]byte("pong"), from)
	if n, err = peer.Read(buf); err != nil || string(buf[:n]) != "pong" {
		t.Fatalf("the peer reads %q, %v, want pong", buf[:n], err)
	}
	conn.Close()
	if got := m.want(wire.Close); got.Key != "k" {
		t.Errorf("closed %q, want k", got.Key)
	}
	if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second Close = %v, want net.ErrClosed", err)
	}
}

func TestQueriesForDatagramSockets(t *testing.T) {
	for _, row := range []struct {
		network, address string
		want             wire.Query
	}{
		{"udp", ":53", wire.Query{Port: 53, Type: wire.UDP6, FD: -1}},
		{"udp", "0.0.0.0:53", wire.Query{Port: 53, Type: wire.UDP6, FD: -1}}, // as net.ListenPacket takes it
		{"udp4", ":53", wire.Query{Address: "0.0.0.0", Port: 53, Type: wire.UDP4, FD: -1}},
		{"udp6", ":53", wire.Query{Address: "::", Port: 53, Type: wire.UDP6, FD: -1, Flags: wire.FlagV6Only}},
		{"udp", "127.0.0.1:53", wire.Query{Address: "127.0.0.1", Port: 53, Type: wire.UDP4, FD: -1}},
		{"udp", "[::1]:53", wire.Query{Address: "::1", Port: 53, Type: wire.UDP6, FD: -1}},
		{"activation", "dns", wire.Query{Name: "dns", Type: wire.UDP4, FD: -1}},
	} {
		w := &Worker{named: true}
		got, _, err := w.askPacket(t.Context(), row.network, row.address)
		if err != nil {
			t.Errorf("%s %s: %v", row.network, row.address, err)
		} else if got.String() != row.want.String() || got.Type != row.want.Type || got.Flags != row.want.Flags {
			t.Errorf("%s %s asks for %+v, want %+v", row.network, row.address, got, row.want)
		}
	}
}

func TestADatagramSocketThatCannotBeHadIsAnError(t *testing.T) {
	m, w := joinMaster(t, Config{})
	for network, want := range map[string]string{"unixgram": "unsupported operation", "tcp": "unknown network tcp"} {
		if _, err := w.ListenPacket(t.Context(), network, "/run/a"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ListenPacket(%s) = %v, want an error with %q", network, err, want)
		}
	}
	result := askingPacket(t.Context(), w, "udp", "127.0.0.1:53")
	m.write(wire.AppendReply(nil, m.nextSeq(), m.want(wire.QueryServer).Seq, "k", 0, nil, nil))
	if got := m.want(wire.Close); got.Key != "k" {
		t.Errorf("closed %q, want k, which came without a socket", got.Key)
	}
	if _, err := result(); err == nil || !strings.Contains(err.Error(), "the master's answer has no socket") {
		t.Errorf("without a socket: %v", err)
	}
	result = askingPacket(t.Context(), w, "udp", "127.0.0.1:53")
	_, stream := m.connection()
	m.write(wire.AppendShare(nil, m.nextSeq(), m.want(wire.QueryServer).Seq, "k", true, nil), stream)
	sys.Close(stream)
	m.want(wire.HandleAck)
	m.want(wire.Close)
	if _, err := result(); err == nil {
		t.Error("with a stream socket: no error")
	}
}
