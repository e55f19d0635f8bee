// Package ledger is the accounting client of rondo's tests: it loads a server
// with HTTP/1.1 requests and answers for the fate of each.
//
// It speaks HTTP at the socket itself, because only there can be seen where the
// bytes of an answer stopped. Every attempt ends in exactly one [Class], so that
//
//	sent == answered + lost + closed-idle + cut
//
// A kept connection that the server closes with no byte of the next answer is
// closed-idle: HTTP's own race, retried once on a new connection, as browsers
// do. The retry is one more sent under an id of its own (the first one's and
// "r"), so an id that a server saw twice was given away twice.
//
// A connection that shows no byte looks the same whether the server closed it
// idle or died with the request in hand. [Config.Served], the server's own word,
// tells them apart; without it [Report.ClosedIdleMax] says how long such a
// request had waited, which for the race alone is next to nothing.
//
// # Protocol
//
// A request carries [IDHeader] and, if the server is asked to be slow,
// [FirstByteHeader] and [BodyHeader] in milliseconds. The answer echoes IDHeader,
// names who answered in [WorkerHeader], [PIDHeader] and [GenerationHeader], and
// has a length and a body whose first line is the id. [Handler] answers so.
//
// # Ownership
//
// Run owns every goroutine and connection it opens; all are gone when it returns.
//
// # Errors
//
// What goes wrong with a request is never an error of Run but a line in the
// [Report]; Report.Check turns the report into an error.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Mode is how requests are laid on connections.
type Mode int

const (
	// PerRequest opens a connection for each request and waits for its end.
	PerRequest Mode = iota
	// Kept sends request after request on one connection per concurrent client.
	// With a long Think these are idle connections.
	Kept
	// Slow is PerRequest with a server asked to take FirstByte and Body.
	Slow
)

// Config says what to load and how. Loads that run against one server at the
// same time need different seeds, else their ids are the same.
type Config struct {
	Network string // "tcp", "tcp4", "tcp6" or "unix"; required
	Address string // as net.Dial takes it; required

	Clients  int // concurrent clients, each with one request at a time; 0 means 1
	Requests int // by each client; 0 means until ctx ends
	Mode     Mode
	Think    time.Duration // each client waits a random part of it between requests
	Seed     uint64        // of the waits and the ids

	// Path gives the request target for an id; nil means "/".
	Path func(id string) string

	// FirstByte and Body ask the server to wait that long before the head of its
	// answer, and between head and end of the body. In whole milliseconds, in any
	// Mode; Slow needs one of them.
	FirstByte, Body time.Duration

	// Dial, if not nil, opens the connections in place of a net.Dialer, for a server
	// in another network namespace. It is called by many goroutines at once, and its
	// ctx ends after DialTimeout.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Overflows, if not nil, reads the counters of the network that the load runs
	// over, where they are not those of this process.
	Overflows func() (Overflow, error)

	DialTimeout time.Duration // 0 means 10 s
	Hang        time.Duration // bound of one attempt, after which it is Hung; 0 means 60 s
	Failures    int           // how many failures the Report details; 0 means 20

	// Answered, if not nil, is told of each answer as it comes: the event a test
	// waits for before its next step. It is called by many goroutines at once.
	Answered func(Who)

	// Cut, if not nil, says of a connection that ended too early whether
	// drain-timeout ended it, which only the test knows. It is asked by Run at the
	// end, for each of class Dropped, Broken and InFlight.
	Cut func(Failure) bool

	// Served, if not nil, says how often the server began the request of an id. It
	// is asked by Run at the end, for every id sent: more than once is an answer
	// twice, and a ClosedIdle that the server had begun was not idle but InFlight.
	Served func(id string) int
}

// Ledger is a load that has been checked and can be run.
type Ledger struct {
	cfg Config
}

// New returns a Ledger for cfg, or an error that names the field that is wrong.
// It opens nothing.
func New(cfg Config) (*Ledger, error) {
	switch cfg.Network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return nil, fmt.Errorf("ledger: Network %q is not tcp, tcp4, tcp6 or unix", cfg.Network)
	}
	switch {
	case cfg.Address == "":
		return nil, errors.New("ledger: Address is empty")
	case cfg.Clients < 0, cfg.Requests < 0, cfg.Failures < 0:
		return nil, errors.New("ledger: Clients, Requests or Failures is negative")
	case cfg.Think < 0, cfg.FirstByte < 0, cfg.Body < 0, cfg.DialTimeout < 0, cfg.Hang < 0:
		return nil, errors.New("ledger: Think, FirstByte, Body, DialTimeout or Hang is negative")
	case cfg.Mode < PerRequest || cfg.Mode > Slow:
		return nil, fmt.Errorf("ledger: Mode %d is unknown", cfg.Mode)
	case cfg.Mode == Slow && cfg.FirstByte == 0 && cfg.Body == 0:
		return nil, errors.New("ledger: Mode Slow needs FirstByte or Body")
	}
	cfg.Clients = or(cfg.Clients, 1)
	cfg.Failures = or(cfg.Failures, 20)
	cfg.DialTimeout = or(cfg.DialTimeout, 10*time.Second)
	cfg.Hang = or(cfg.Hang, time.Minute)
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Overflows == nil {
		cfg.Overflows = Overflows
	}
	if cfg.Path == nil {
		cfg.Path = func(string) string { return "/" }
	}
	return &Ledger{cfg: cfg}, nil
}

// Run loads the server until every client has made its Requests or ctx ends, and
// returns the books. When ctx ends no new request is sent; those under way are
// finished, each within DialTimeout and Hang, their retries too. The only error is
// that nothing was sent. Run may be called again; ids then start anew.
func (l *Ledger) Run(ctx context.Context) (Report, error) {
	began, retries := time.Now(), l.synRetries()
	all := make([]*books, l.cfg.Clients)
	var callers sync.WaitGroup
	for n := range all {
		k := newCaller(l.cfg, n)
		all[n] = &k.books
		callers.Go(func() { k.run(ctx) }) // ends with ctx or its last request
	}
	callers.Wait()
	report := l.settle(all)
	report.Took = time.Since(began)
	report.SYNRetries = -1
	if after := l.synRetries(); retries >= 0 && after >= 0 {
		report.SYNRetries = after - retries
	}
	if report.Sent == 0 {
		return report, fmt.Errorf("ledger: nothing sent: %w", context.Cause(ctx))
	}
	return report, nil
}

// synRetries reads the kernel's counter; -1 where there is none.
func (l *Ledger) synRetries() int {
	o, err := l.cfg.Overflows()
	if err != nil {
		return -1
	}
	return int(o.Retries)
}

// requestID is the id of a first attempt; retryID that of its retry.
func requestID(cfg Config, client, request int) string {
	return fmt.Sprintf("%x-%d-%d", cfg.Seed, client, request)
}

func retryID(id string) string { return id + "r" }

func or[T int | time.Duration](v, zero T) T {
	if v == 0 {
		return zero
	}
	return v
}
