package ledger

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEachFaultIsLostInItsClass plans two faults among six connections of one
// request each.
func TestEachFaultIsLostInItsClass(t *testing.T) {
	part := answerTo("0-0-0", "")
	replace := func(old, new string) func(*peer) {
		return func(p *peer) {
			id, _ := p.next()
			p.say(strings.ReplaceAll(answerTo(id, ""), old, new))
		}
	}
	for name, tt := range map[string]struct {
		fault func(*peer)
		class Class
		err   error
	}{
		"closes without reading":   {func(p *peer) {}, Dropped, nil},
		"closes without an answer": {func(p *peer) { p.next() }, Dropped, io.EOF},
		"resets without an answer": {func(p *peer) { p.next(); p.reset() }, Dropped, syscall.ECONNRESET},
		// Linux gives what came before a reset to the reader.
		"resets in the head": {func(p *peer) { p.next(); p.say(part[:20]); p.reset() }, Broken, syscall.ECONNRESET},
		"resets in the body": {func(p *peer) { p.next(); p.say(part[:len(part)-2]); p.reset() }, Broken, syscall.ECONNRESET},
		"ends after a 1xx":   {func(p *peer) { p.next(); p.say("HTTP/1.1 103 Early Hints\r\n\r\n") }, Broken, io.EOF},
		"answers 503":        {replace("200 OK", "503 No"), BadStatus, nil},
		"switches protocols": {replace("200 OK", "101 Switching Protocols"), BadStatus, nil},
		"answers another id": {replace("0-0-", "0-9-"), WrongID, nil},
		"another body":       {replace("\n0-0-", "\n0-9-"), WrongID, nil},
		"no id":              {replace(IDHeader, "X-Other"), WrongID, nil},
		"no length":          {replace("Content-Length", "X-Other"), Malformed, errNoAnswer},
		"no number":          {replace(": 77", ": x"), Malformed, errNoAnswer},
		"no HTTP":            {replace("HTTP/1.1", "hello"), Malformed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, "tcp", func(n int, p *peer) {
				if n == 1 || n == 4 {
					tt.fault(p)
				} else {
					p.goodOnce()
				}
			})
			r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 6})
			counts{Requests: 6, Sent: 6, Answered: 4, Lost: 2, Connections: 6}.check(t, r)
			r.checkClass(t, tt.class, 2)
			if len(r.Failures) != 2 {
				t.Fatalf("%d failures, want 2\n%s", len(r.Failures), r)
			}
			for i, id := range []string{"0-0-1", "0-0-4"} {
				f := r.Failures[i]
				if f.ID != id || f.Before != 0 || f.Local == "" || (f.Bytes == 0) != (f.Class == Dropped) {
					t.Errorf("failure %d: %+v, want id %s", i, f, id)
				}
				if tt.err != nil && !errors.Is(f.Err, tt.err) {
					t.Errorf("failure %d: %v, want %v", i, f.Err, tt.err)
				}
			}
		})
	}
}

func TestAnswerThatStopsAtAnyByteIsLost(t *testing.T) {
	const clients, requests = 9, 9 // one digit each: all answers are of one length
	length := len(answerTo("0-0-0", ""))
	runs := length/(clients*requests) + 1
	sent := runs * clients * requests
	stops := make(chan int, sent)
	for n := range sent {
		stops <- min(n, length-1)
	}
	address := serve(t, "tcp", func(n int, p *peer) {
		if id, ok := p.next(); ok {
			p.say(answerTo(id, "")[:<-stops])
		}
	})
	dropped, broken := 0, 0
	for range runs {
		r := run(t, t.Context(), Config{Network: "tcp", Address: address, Clients: clients, Requests: requests})
		counts{Requests: 81, Sent: 81, Lost: 81, Connections: 81}.check(t, r)
		dropped += r.Classes[Dropped]
		broken += r.Classes[Broken]
	}
	if dropped != 1 || broken != sent-1 {
		t.Errorf("%d dropped, %d broken, want 1 and %d", dropped, broken, sent-1)
	}
}

func TestRefusedIsLost(t *testing.T) {
	// The near end of a connection is an address in use at which nobody listens.
	tcp := serve(t, "tcp", func(n int, p *peer) { p.gone() })
	near, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	unix.(*net.UnixListener).SetUnlinkOnClose(false)
	unix.Close()
	for _, at := range []net.Addr{near.LocalAddr(), unix.Addr()} {
		r := run(t, t.Context(), Config{Network: at.Network(), Address: at.String(), Clients: 2, Requests: 3})
		counts{Requests: 6, Sent: 6, Lost: 6}.check(t, r)
		r.checkClass(t, Refused, 6)
		if f := r.Failures[0]; !errors.Is(f.Err, syscall.ECONNREFUSED) || !strings.Contains(f.String(), "no connection") {
			t.Errorf("%s: %v, want %v", at.Network(), f, syscall.ECONNREFUSED)
		}
	}
}

func TestConnectThatTakesTooLongIsLost(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 3, DialTimeout: 1})
	counts{Requests: 3, Sent: 3, Lost: 3}.check(t, r)
	r.checkClass(t, DialTimeout, 3)
}

// TestAnswerThatDoesNotComeIsHung has no good answers among the others, so that
// the guard can be short and the machine slow.
func TestAnswerThatDoesNotComeIsHung(t *testing.T) {
	for name, hang := range map[string]func(p *peer, id string){
		"never answers":     func(p *peer, id string) { p.gone() },
		"stops in the body": func(p *peer, id string) { p.say(answerTo(id, "")[:120]); p.gone() },
		"answers too late":  func(p *peer, id string) { p.gone(); _, _ = p.Write([]byte(answerTo(id, ""))) },
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, "tcp", func(n int, p *peer) {
				id, _ := p.next()
				hang(p, id)
			})
			r := run(t, t.Context(), Config{Network: "tcp", Address: address, Clients: 3, Requests: 2, Hang: 50 * time.Millisecond})
			counts{Requests: 6, Sent: 6, Lost: 6, Connections: 6}.check(t, r)
			r.checkClass(t, Hung, 6)
			if f := r.Failures[0]; !errors.Is(f.Err, os.ErrDeadlineExceeded) {
				t.Errorf("%v, want %v", f, os.ErrDeadlineExceeded)
			}
		})
	}
}

func TestServerThatDoesNotCloseIsFlaggedAndNotLost(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) { p.good() })
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Clients: 2, Requests: 1})
	counts{Requests: 2, Sent: 2, Answered: 2, Connections: 2}.check(t, r)
	if r.Unclosed != 2 {
		t.Errorf("%d unclosed, want 2", r.Unclosed)
	}
}

func TestInformationBeforeAnAnswerIsNotTheAnswer(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		if id, ok := p.next(); ok {
			p.say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + answerTo(id, ""))
		}
	})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 2})
	counts{Requests: 2, Sent: 2, Answered: 2, Connections: 2}.check(t, r)
}
