package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The headers of the protocol: see the package's documentation.
const (
	IDHeader         = "X-Ledger-Id"
	FirstByteHeader  = "X-Ledger-First-Byte-Ms"
	BodyHeader       = "X-Ledger-Body-Ms"
	WorkerHeader     = "X-Rondo-Worker"
	PIDHeader        = "X-Rondo-Pid"
	GenerationHeader = "X-Rondo-Generation"
)

// errNoAnswer is of a head that is HTTP and yet not of the protocol.
var errNoAnswer = errors.New("not an answer")

// request renders the request for id in one piece, so that it is one write.
func request(cfg Config, id string) []byte {
	host := cfg.Address
	if cfg.Network == "unix" {
		host = "localhost"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", cfg.Path(id), host, IDHeader, id)
	if cfg.FirstByte > 0 {
		fmt.Fprintf(&b, "%s: %d\r\n", FirstByteHeader, cfg.FirstByte.Milliseconds())
	}
	if cfg.Body > 0 {
		fmt.Fprintf(&b, "%s: %d\r\n", BodyHeader, cfg.Body.Milliseconds())
	}
	if cfg.Mode != Kept {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// verdict is what became of one attempt on a connection.
type verdict struct {
	class Class
	err   error
	last  bool     // the server said that it answers no more on the connection
	again []string // ids answered before and now once more
}

// ask sends the request for id and reads the answer to it.
func (c *conn) ask(id string, request []byte, until time.Time) (v verdict) {
	c.mark()
	// Fails only on a closed connection, which the read below reports.
	_ = c.SetDeadline(until)
	// A write that fails is no proof of no answer: the server may have answered
	// and closed. What can be read decides.
	_, unsent := c.Write(request)
	for {
		head, body, err := c.answer()
		if err != nil {
			v.class, v.err = c.class(err), err
			if v.class != Malformed {
				v.err = c.err // the parser's words for it say less
			}
			if unsent != nil {
				v.err = fmt.Errorf("%w (after %w)", err, unsent)
			}
			return v
		}
		if echo := head.Header.Get(IDHeader); echo != id && c.answered[echo] {
			v.again = append(v.again, echo)
			c.mark()
			continue
		}
		v.class, v.err = judge(head, body, id)
		v.last = head.Close
		return v
	}
}

// answer reads the next whole answer, past any 1xx before it.
func (c *conn) answer() (*http.Response, []byte, error) {
	for {
		head, err := http.ReadResponse(c.in, nil)
		if err != nil {
			return nil, nil, err
		}
		if head.StatusCode < 200 && head.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		if c.who, err = whoOf(head.Header); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		if head.ContentLength < 0 && len(head.TransferEncoding) == 0 {
			return nil, nil, fmt.Errorf("%w: it has no length, so its end is no proof", errNoAnswer)
		}
		body, err := io.ReadAll(head.Body)
		return head, body, err
	}
}

// judge says whether a whole answer is the answer to id.
func judge(head *http.Response, body []byte, id string) (Class, error) {
	echo := head.Header.Get(IDHeader)
	line, _, _ := bytes.Cut(body, []byte("\n"))
	switch {
	case echo != "" && echo != id:
		return WrongID, fmt.Errorf("answer is to %q", echo)
	case head.StatusCode < 200 || head.StatusCode > 299:
		return BadStatus, fmt.Errorf("status %s", head.Status)
	case echo == "":
		return WrongID, errors.New("answer has no " + IDHeader)
	case string(line) != id:
		return WrongID, fmt.Errorf("body is for %.40q", line)
	}
	return Answered, nil
}

// whoOf reads who answered.
func whoOf(h http.Header) (Who, error) {
	var w Who
	for _, f := range []struct {
		name string
		to   *int
	}{{WorkerHeader, &w.Worker}, {PIDHeader, &w.PID}, {GenerationHeader, &w.Generation}} {
		text := h.Get(f.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return Who{}, fmt.Errorf("%s: %w", f.name, err)
		}
		*f.to = n
	}
	return w, nil
}
