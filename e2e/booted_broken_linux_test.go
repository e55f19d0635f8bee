//go:build linux && !portable

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
)

// answer is what a request got.
type answer struct {
	text string
	err  error
}

// connect makes a connection with a request on it and returns. The answer comes
// when it comes, or an error after patience.
func (h *host) connect(network, address string) <-chan answer {
	h.t.Helper()
	return h.connectFor(patience, network, address)
}

func (h *host) connectFor(limit time.Duration, network, address string) <-chan answer {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), limit)
	h.t.Cleanup(cancel)
	conn, err := h.Dial(ctx, network, address)
	if err != nil {
		h.t.Fatal(err)
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	got := make(chan answer, 1)
	go func() {
		r, err := c.Do(req)
		if err != nil {
			got <- answer{err: err}
			return
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", r.Status)
		}
		got <- answer{string(b), err}
	}()
	return got
}

// failed is true for a unit that systemd has given up: since systemd 254 a service
// is "failed", in a state of its own, for the moment before it is started again.
func failed(p map[string]string) bool {
	return p["SubState"] == "failed" || p["Result"] == "start-limit-hit" ||
		p["ActiveState"] == "failed" && p["SubState"] != "failed-before-auto-restart"
}

func TestProgramThatCrashesAtEveryStartServesOnceMended(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		for _, name := range []string{"worker died", "start's last words", "service starts in vain", "start failed"} {
			h.Expect(name)
		}
		h.program(`process.exit(7)`)
		h.install("--listen", "8080=3000", "--workers", "1", "--backoff", "10ms..50ms")
		var held []<-chan answer
		hold := func() {
			for range 10 {
				held = append(held, h.connect("tcp", "127.0.0.1:8080"))
			}
		}
		hold()
		const restarts = 6 // systemd's own limit is five starts in ten seconds
		told := ""
		h.Await("app.service", func(p map[string]string) bool {
			if failed(p) {
				t.Fatalf("app.service is given up: %v", p)
			}
			if strings.Contains(p["StatusText"], "exited with code 7") {
				told = p["StatusText"]
			}
			n, err := strconv.Atoi(p["NRestarts"])
			return err == nil && n >= restarts
		}, "ActiveState", "SubState", "Result", "NRestarts", "StatusText")
		if told == "" {
			t.Error("no STATUS told that the program exited with code 7")
		}
		t.Logf("STATUS %q", told)
		hold()
		if p := h.Show("app.socket", "ActiveState", "Result"); p["ActiveState"] != "active" || p["Result"] != "success" {
			t.Errorf("app.socket is %v", p)
		}
		h.program(`require('http').createServer((q, r) => r.end('mended')).listen(3000)`)
		for i, got := range held {
			if a := <-got; a.err != nil || a.text != "mended" {
				t.Errorf("connection %d: %q, %v", i, a.text, a.err)
			}
		}
		h.started()
		h.is("app.socket", "active")
	})
}

// The same while the service is up: it stays so, and its status tells.
func TestProgramThatCrashesAtEveryRestartServesOnceMended(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("worker died")
		h.Expect("worker killed")
		const works = `require('http').createServer((q, r) => r.end('works')).listen(3000)`
		h.program(works)
		h.install("--listen", "8080=3000", "--workers", "2", "--backoff", "10ms..200ms")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		pid := h.status().PID
		h.program(`process.exit(7)`)
		for _, w := range h.status().Workers {
			h.Must("kill", "-KILL", strconv.Itoa(w.PID))
		}
		// The second death in a row of each slot is the program's own.
		for slot := range 2 {
			died := fmt.Sprintf("slot=%d ", slot)
			h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool {
				return strings.Contains(e.Message, died) && strings.Contains(e.Message, "exited with code 7")
			})
		}
		var held []<-chan answer
		for range 10 {
			held = append(held, h.connect("tcp", "127.0.0.1:8080"))
		}
		st := h.status()
		out, err := h.rondo("status", "app")
		if err != nil || !strings.Contains(out, "exited with code 7") {
			t.Errorf("rondo status tells %s, %v", out, err)
		}
		t.Logf("%s\nSTATUS %q", out, h.Show("app.service", "StatusText")["StatusText"])
		if st.PID != pid || len(st.Listeners) != 1 || st.Listeners[0].Accepting {
			t.Errorf("status %+v, want the same master, which accepts nothing", st)
		}
		for _, w := range st.Workers {
			if w.Restarts == 0 || w.LastExit == nil || w.LastExit.Code == nil || *w.LastExit.Code != 7 {
				t.Errorf("worker %+v, want an exit with code 7", w)
			}
		}
		h.is("app.service", "active")
		h.program(works)
		for i, got := range held {
			if a := <-got; a.err != nil || a.text != "works" {
				t.Errorf("connection %d: %q, %v", i, a.text, a.err)
			}
		}
		if st := h.status(); st.PID != pid {
			t.Errorf("the master was restarted: %d, want %d", st.PID, pid)
		}
		if p := h.Show("app.socket", "ActiveState", "Result"); p["ActiveState"] != "active" || p["Result"] != "success" {
			t.Errorf("app.socket is %v", p)
		}
	})
}
