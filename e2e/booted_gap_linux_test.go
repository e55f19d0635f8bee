//go:build linux && !portable

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/internal/ledger"
)

// gapServer is the ledger's server, which notes the id of each request that it
// begins. One that is none of the ledger's it answers when /srv/app/go is there.
func gapServer(t *testing.T) string {
	t.Helper()
	return strings.Replace(ledgerServer(t, "3000"), "const wait =", `if (!id) {
    res.write('begun, ');
    (function again() { require('fs').existsSync('/srv/app/go') ? res.end('ended') : setTimeout(again, 20); })();
    return;
  }
  require('fs').appendFileSync('/srv/app/begun/' + process.pid, id + '\n');
  const wait =`, 1)
}

// gapFlags install gapServer on an address of the machine.
func gapFlags(address string) []string {
	return []string{"--listen", address + "=3000", "--workers", "2", "--drain-timeout", "1m", "--write", "/srv/app/begun"}
}

// serveGap installs gapServer there and starts it.
func (h *host) serveGap(address string) {
	h.t.Helper()
	h.program(gapServer(h.t))
	h.Must("mkdir", "--mode=1777", "/srv/app/begun")
	h.install(gapFlags(address)...)
	h.Must("systemctl", "start", "app.service")
}

// begun tells how often the workers began the request of an id. It reads their
// notes at the first call.
func (h *host) begun() func(id string) int {
	read := sync.OnceValue(func() map[string]int {
		ids := make(map[string]int)
		notes, err := h.Run("sh", "-c", "cat /srv/app/begun/*")
		if err != nil {
			h.t.Errorf("the notes of the workers: %v", err)
		}
		for id := range strings.Lines(notes) {
			ids[strings.TrimSpace(id)]++
		}
		return ids
	})
	return func(id string) int { return read()[id] }
}

// hold makes a request and returns when a worker has begun the answer. The function
// that it gives waits for the rest.
func (h *host) hold(address string) (rest func()) {
	h.t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.Dial(ctx, "tcp", address) }}}
	r, err := c.Get("http://localhost/")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { r.Body.Close() })
	return func() {
		h.t.Helper()
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != "begun, ended" {
			h.t.Errorf("a request in flight got %q, %v", b, err)
		}
	}
}

// idle makes a connection, has one request answered and keeps it. The function that
// it gives waits until a worker closes it, without another byte.
func (h *host) idle(address string) (closed func()) {
	h.t.Helper()
	c, err := h.Dial(h.t.Context(), "tcp", address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Ledger-Id: idle\r\n\r\n")
	r, err := http.ReadResponse(in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil {
		h.t.Fatalf("a connection to keep: %v", err)
	}
	return func() {
		h.t.Helper()
		if _, err := in.ReadByte(); err != io.EOF {
			h.t.Errorf("a kept connection ended with %v, want it closed", err)
		}
	}
}

// across runs rondo with args, which stops the service on that address, while
// requests are in flight there and clients load it.
//
// While the service drains, the socket is open and nobody accepts: connections wait.
// When it has ended the socket is closed, and what waited is reset; from then on
// connections are refused. That is what may be lost, and all: nothing that a worker
// has begun is cut, and a kept connection is closed when it is idle.
func (h *host) across(address string, args ...string) (out string) {
	h.t.Helper()
	loads := h.gapLoads(address)
	rests := []func(){h.idle(address), h.idle(address), h.hold(address), h.hold(address)}
	p := h.Start(machine.Command{Args: append([]string{"/usr/local/bin/rondo"}, args...), Dir: "/srv/app"})
	// From here on nobody accepts; a connection without a request would hold a Node worker.
	h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool { return strings.HasPrefix(e.Message, "worker drains ") })
	late, err := h.Dial(h.t.Context(), "tcp", address)
	if err != nil {
		h.t.Fatalf("while the service drains the socket is closed: %v", err)
	}
	defer late.Close()
	p.Line(func(line string) bool { return strings.HasPrefix(line, "app.service finishes what it holds") })
	h.WriteFile("/srv/app/go", 0o644, "")
	for _, rest := range rests {
		rest()
	}
	if err := p.Wait(); err != nil {
		h.t.Error(err)
	}
	late.SetReadDeadline(time.Now().Add(patience))
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		h.t.Errorf("a connection that waited: %v, want it closed with the socket", err)
	}
	if _, err := h.Dial(h.t.Context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		h.t.Errorf("a connection to %s afterwards: %v, want it refused", address, err)
	}
	var sum ledger.Report
	for _, stop := range loads {
		r := stop()
		h.lostNoMore(r)
		sum.Requests += r.Requests
		sum.Answered += r.Answered
		sum.Lost += r.Lost - r.Classes[ledger.Refused]
	}
	told(h.t, "rondo %s: %d requests, %d answered, %d that waited in the socket when it closed; the rest refused",
		args[0], sum.Requests, sum.Answered, sum.Lost)
	return p.Output()
}

// gapLoads runs clients of two kinds, and returns when each was answered. None keeps
// its connection: one that is busy when a Node server closes stays until drain-timeout.
func (h *host) gapLoads(address string) (stops []func() ledger.Report) {
	h.t.Helper()
	h.Must("sh", "-c", "rm -f /srv/app/begun/*") // the ids are those of the last loads
	for i, cfg := range []ledger.Config{
		{Clients: 4, Mode: ledger.PerRequest, Think: 4 * time.Millisecond},
		{Clients: 4, Mode: ledger.Slow, FirstByte: 30 * time.Millisecond, Body: 30 * time.Millisecond},
	} {
		answered := make(chan struct{})
		cfg.Network, cfg.Address, cfg.Dial, cfg.Overflows = "tcp", address, h.Dial, h.Overflows
		cfg.Seed, cfg.Failures = seed+uint64(i), 1_000_000
		cfg.Served, cfg.Answered = h.begun(), func() func(ledger.Who) {
			once := sync.OnceFunc(func() { close(answered) })
			return func(ledger.Who) { once() }
		}()
		stops = append(stops, runLedger(h.t, cfg))
		select {
		case <-answered:
		case <-time.After(patience):
			h.t.Fatal("no client was answered")
		}
	}
	return stops
}

// lostNoMore fails the test if more is lost than connections that no worker had.
func (h *host) lostNoMore(r ledger.Report) {
	h.t.Helper()
	begun := h.begun()
	for _, f := range r.Failures {
		if f.Class == ledger.Dropped && begun(f.ID) > 0 {
			h.t.Errorf("a worker had begun what was dropped: %s", f)
		}
	}
	if r.Lost != r.Classes[ledger.Refused]+r.Classes[ledger.Dropped] || r.Answered == 0 || r.Twice > 0 || r.Cut > 0 ||
		r.Sent != r.Answered+r.Lost {
		h.t.Errorf("more is lost than connections that no worker had:\n%s", r)
	}
}

// lostNothing ends the loads.
func (h *host) lostNothing(loads []func() ledger.Report) {
	h.t.Helper()
	for _, stop := range loads {
		if r := stop(); r.Check() != nil {
			h.t.Errorf("%v\n%s", r.Check(), r)
		}
	}
}

func TestAddressesChangeByConsentAndNothingBegunIsCut(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		const from, to = "127.0.0.1:8081", "127.0.0.1:8080"
		h.serveGap(from)
		args := append([]string{"install", "--name", "app"}, gapFlags(to)...)
		stamps, running := h.stamps(), h.status()
		_, err := h.rondo(append(args, "--", "node", "server.js")...)
		if err == nil {
			t.Fatal("addresses changed without --apply-sockets")
		}
		says(t, err.Error(), "nothing was changed: the sockets change", "app.service finishes what it holds (at most 1m5s), and connections "+
			"that wait or come until the sockets are open again are refused or reset; with --apply-sockets that is done")
		h.written(stamps)
		h.untouched(running)

		out := h.across(from, append(args, "--apply-sockets", "--", "node", "server.js")...)
		says(t, out, "  - ListenStream=127.0.0.1:8081\n  + ListenStream=127.0.0.1:8080\n",
			"\napp.service finishes what it holds (at most 1m5s), and connections", "app.socket listens on 127.0.0.1:8080\nthe sockets were opened anew")
		h.is("app.socket", "active")
		h.is("app.service", "active")

		// From here on it serves as ever.
		loads := h.gapLoads(to)
		h.Must("systemctl", "reload", "app.service")
		h.expectFound()
		h.Must("systemctl", "restart", "app.service")
		h.rolled(3)
		h.lostNothing(loads)
		says(t, h.doctor(), "app: nothing is wrong")
	})
}

func TestUninstallUnderLoadCutsNothingBegunAndLeavesNothing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		before := h.traces()
		h.serveGap("127.0.0.1:8080")
		if before != "" || h.traces() == "" {
			t.Errorf("what an install leaves is not seen: %q, then %q", before, h.traces())
		}
		says(t, h.across("127.0.0.1:8080", "uninstall", "app"), "app.service finishes what it holds, at most 1m5s ...\nremoved /etc/systemd/system/app.socket\nremoved /etc/systemd/system/app.service\nremoved /etc/rondo/app.toml\n")
		if left := h.traces(); left != "" {
			t.Errorf("it leaves\n%s", left)
		}
		if left := h.Left("app.service"); len(left) > 0 {
			t.Errorf("there run %v", left)
		}
	})
}
