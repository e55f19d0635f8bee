package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer  = 16 << 20         // bytes; a status of MaxWorkers is far below
	quickReply = 10 * time.Second // for what only begins, and for status
)

// A Caller gives orders to one master.
type Caller struct {
	path string
	http *http.Client
}

// At is the master whose control socket is at path. Nothing is opened until the
// first call, and nothing stays open after one.
func At(path string) *Caller {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Caller{path, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Path is where the control socket is.
func (c *Caller) Path() string { return c.path }

// Status reads the status into v.
func (c *Caller) Status(ctx context.Context, v any) error {
	ctx, cancel := context.WithTimeout(ctx, quickReply)
	defer cancel()
	return c.do(ctx, "GET", "/v1/status", nil, v)
}

// Reload returns when the reload has ended, however long it takes. If ctx ends
// first the reload goes on.
func (c *Caller) Reload(ctx context.Context) error {
	return c.do(ctx, "POST", "/v1/reload", nil, nil)
}

// ManagedReload is Reload for the service manager, which knows of it: the master does
// not say that it reloads.
func (c *Caller) ManagedReload(ctx context.Context) error {
	return c.do(ctx, "POST", "/v1/reload", reloadRequest{Managed: true}, nil)
}

// Scale asks for so many workers and returns when all are ready, however long
// that takes. If ctx ends first it goes on.
func (c *Caller) Scale(ctx context.Context, workers int) error {
	return c.do(ctx, "POST", "/v1/scale", scaleRequest{Workers: workers}, nil)
}

// Stop returns when the master has begun to drain; it then exits.
func (c *Caller) Stop(ctx context.Context) error { return c.quick(ctx, "/v1/stop") }

// Upgrade returns when the master is about to have its program replaced, which ends
// the control socket for a moment; or with why it cannot be.
func (c *Caller) Upgrade(ctx context.Context) error {
	return c.do(ctx, "POST", "/v1/upgrade", nil, nil)
}

// Leave returns when the master is about to exit without its workers, which go on
// until the next master takes them over.
func (c *Caller) Leave(ctx context.Context) error { return c.quick(ctx, "/v1/leave") }

// DrainWorker returns when the worker with this id has begun to drain.
func (c *Caller) DrainWorker(ctx context.Context, id int) error {
	return c.quick(ctx, "/v1/workers/"+strconv.Itoa(id)+"/drain")
}

// KillWorker returns when the worker with this id has been sent SIGKILL.
func (c *Caller) KillWorker(ctx context.Context, id int) error {
	return c.quick(ctx, "/v1/workers/"+strconv.Itoa(id)+"/kill")
}

// Send returns when the worker of the slot has been sent the message, one JSON text.
func (c *Caller) Send(ctx context.Context, slot int, message json.RawMessage) error {
	ctx, cancel := context.WithTimeout(ctx, quickReply)
	defer cancel()
	return c.do(ctx, "POST", "/v1/slots/"+strconv.Itoa(slot)+"/message", messageRequest{message}, nil)
}

func (c *Caller) quick(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, quickReply)
	defer cancel()
	return c.do(ctx, "POST", path, nil, nil)
}

// do asks once. A nil result means that only the error counts.
func (c *Caller) do(ctx context.Context, method, path string, request, result any) error {
	var body io.Reader
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://rondo"+path, body)
	if err != nil {
		return err
	}
	answered, err := c.http.Do(r)
	if err != nil {
		return c.noAnswer(err)
	}
	defer answered.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answered.Body, maxAnswer))
	if err != nil {
		return c.noAnswer(err)
	}
	switch answered.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return c.noAnswer(io.EOF)
	default:
		return refusal(answered.StatusCode, text)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(text, result); err != nil {
		return fmt.Errorf("%s: the answer is not a rondo's: %w", c.path, err)
	}
	return nil
}

func (c *Caller) noAnswer(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // without the made-up URL
	}
	dial, ok := errors.AsType[*net.OpError](err)
	switch {
	case ok && dial.Op == "dial":
		return fmt.Errorf("nobody answers on %s: %w", c.path, dial.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the master ended before it answered", c.path)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time", c.path)
	default:
		return fmt.Errorf("%s: %w", c.path, err)
	}
}

// Refused says whether err is of a call that the master answered and did not do.
func Refused(err error) bool {
	_, ok := errors.AsType[refused](err)
	return ok
}

type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// refusal is the master's own words, in one line.
func refusal(code int, text []byte) error {
	var a answer
	if json.Unmarshal(text, &a) != nil || a.Error == "" {
		return refused{fmt.Errorf("the master answered %d %s", code, http.StatusText(code))}
	}
	return refused{errors.New(strings.Join(strings.Fields(a.Error), " "))}
}

// identity is who a master is.
type identity struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

func (c *Caller) identity(ctx context.Context) (identity, error) {
	var who identity
	err := c.Status(ctx, &who)
	return who, err
}

// peer is the process that called listen, also when it does not answer.
func (c *Caller) peer() (peer, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.path, Net: "unix"})
	if err != nil {
		return peer{}, err
	}
	defer conn.Close()
	return peerOf(conn)
}
