// Package control is the master's control socket and its callers: HTTP and JSON
// over a unix socket that only the master's own user and root can use.
//
// The master's side is Path, Listen and Server; the caller's side is Find and
// Caller. Both sides derive the socket's path from the same environment:
// $RUNTIME_DIRECTORY, then $XDG_RUNTIME_DIR/rondo/NAME, then rondo-UID/NAME in
// the directory for temporary files.
//
// # Ownership
//
// Listen gives a Listener; the Server takes it and closes it when Run returns.
// The socket and its lock are close-on-exec: a worker never has them.
//
// # Errors
//
// A Backend says by Busy that an error is a conflict, and Refused tells an error that
// the master answered from one of a master that was not reached, or ended. NotRunning
// tells the error of a Find that found none, AlreadyRunning that of a Listen where a
// master is, and ErrNotYours is of a master that another
// user could ask. Everything else is told to the caller in
// one line and acted on by nobody.
package control

import (
	"context"
	"encoding/json"
)

// Backend is the master, as the control socket sees it. Its methods are called
// from several goroutines. The ctx of each ends when the Server stops, not when
// the caller goes away: what was begun is finished.
type Backend interface {
	Status(ctx context.Context) (any, error)       // what GET /v1/status answers, as JSON
	Reload(ctx context.Context) error              // returns when the reload has ended
	ManagedReload(ctx context.Context) error       // likewise; the service manager knows of it already
	Scale(ctx context.Context, workers int) error  // returns when all workers are ready
	Stop(ctx context.Context) error                // returns when the drain has begun
	Upgrade(ctx context.Context) error             // returns when the program is about to be replaced
	Leave(ctx context.Context) error               // returns when it is about to exit without its workers
	DrainWorker(ctx context.Context, id int) error // returns when it has begun
	KillWorker(ctx context.Context, id int) error  // returns when it has begun

	// Send returns when the channel of the slot's worker has the message, one JSON text.
	Send(ctx context.Context, slot int, message json.RawMessage) error
}

// Busy is err, marked as one that is no fault: the master cannot do this now but
// may later. The answer is 409 then.
func Busy(err error) error { return busy{err} }

type busy struct{ error }

func (b busy) Unwrap() error { return b.error }

// Gone marks an error of a Backend that ended before it could tell: how what was
// asked for ends, only the next master can. The answer is 503 then.
func Gone(err error) error { return gone{err} }

type gone struct{ error }

func (g gone) Unwrap() error { return g.error }

// answer is the JSON of an answer that is not a status.
type answer struct {
	Error string `json:"error,omitempty"`
	OK    bool   `json:"ok,omitempty"`
}

// reloadRequest is the JSON that POST /v1/reload takes.
type reloadRequest struct {
	Managed bool `json:"managed,omitempty"`
}

// messageRequest is the JSON that POST /v1/slots/SLOT/message takes.
type messageRequest struct {
	Message json.RawMessage `json:"message"`
}

// scaleRequest is the JSON that POST /v1/scale takes.
type scaleRequest struct {
	Workers int `json:"workers"`
}
