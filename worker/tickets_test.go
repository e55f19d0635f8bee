package worker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/wire"
)

// secret is a key that is all one byte.
func secret(b byte) []byte { return bytes.Repeat([]byte{b}, wire.TicketKeySize) }

// tickets tells the worker keys, and returns when it has them.
func (m *fakeMaster) tickets(secrets ...[]byte) {
	m.t.Helper()
	m.write(wire.AppendTicketKeys(nil, m.nextSeq(), secrets))
	_, seq := m.handOverOne("nobody's") // which is answered in its turn
	m.want(wire.HandleAck)
	m.answer(seq)
}

// serving is a TLS server for one connection at a time.
func serving(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// resumes makes one connection to a server and tells whether its session is an old one.
func resumes(t *testing.T, server *tls.Config, cache tls.ClientSessionCache) bool {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write([]byte("hello"))
			c.Close()
		}
		ended <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: cache})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().DidResume
}

func TestSessionsAreResumedOnWhoHasTheKey(t *testing.T) {
	certificate := serving(t).Certificates
	m, w := joinMaster(t, Config{})
	m.tickets(secret(1)) // before it was asked: of no use yet
	config := &tls.Config{Certificates: certificate}
	done := make(chan error, 1)
	go func() { done <- w.ShareTickets(t.Context(), config) }()
	m.want(wire.Tickets)
	m.tickets(secret(1))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	again := &tls.Config{Certificates: certificate}
	if err := w.ShareTickets(t.Context(), again); err != nil { // without another question
		t.Fatal(err)
	}
	cache := tls.NewLRUClientSessionCache(1)
	served := config.Clone() // as http.Server does
	for i, want := range []bool{false, true} {
		if got := resumes(t, served, cache); got != want {
			t.Errorf("connection %d: resumed = %v, want %v", i, got, want)
		}
	}
	if !resumes(t, again, cache) {
		t.Error("the session is not resumed by another configuration")
	}
	if resumes(t, serving(t), cache) {
		t.Error("a session is resumed by who does not have the key")
	}
}

func TestKeysOfTicketsChange(t *testing.T) {
	config := serving(t)
	m, w := joinMaster(t, Config{})
	done := make(chan error, 1)
	go func() { done <- w.ShareTickets(t.Context(), config) }()
	m.want(wire.Tickets)
	m.tickets(secret(1))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	cache := tls.NewLRUClientSessionCache(1)
	resumes(t, config, cache)
	for _, row := range []struct {
		keys [][]byte
		want bool
		what string
	}{
		{[][]byte{secret(2), secret(1)}, true, "the key is one of the old ones"},
		{[][]byte{secret(3), secret(2)}, true, "it was renewed with the second key"},
		{[][]byte{secret(4)}, false, "its key is gone"},
	} {
		m.tickets(row.keys...)
		if got := resumes(t, config, cache); got != row.want {
			t.Errorf("%s: resumed = %v, want %v", row.what, got, row.want)
		}
	}
}

func TestShareTicketsEndsAlsoWithoutAnAnswer(t *testing.T) {
	m, w := joinMaster(t, Config{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	config := new(tls.Config)
	done := make(chan error, 1)
	go func() { done <- w.ShareTickets(ctx, config) }()
	m.want(wire.Tickets)
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("ShareTickets = %v, want the cause", err)
	}
	m.disconnect(0)
	if err := w.ShareTickets(t.Context(), config); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ShareTickets of a worker that drains = %v, want net.ErrClosed", err)
	}
	if config.WrapSession != nil || config.UnwrapSession != nil {
		t.Error("the configuration was changed")
	}
}

func TestWithoutARondoMasterTicketsAreTheProcesssOwn(t *testing.T) {
	config := new(tls.Config)
	if err := new(Worker).ShareTickets(t.Context(), config); err != nil || config.WrapSession != nil {
		t.Errorf("ShareTickets = %v, WrapSession is set: %v", err, config.WrapSession != nil)
	}
}
