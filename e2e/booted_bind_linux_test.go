//go:build linux && !portable

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
)

// The settings ask for a port that another program has, where rondo opens the sockets. No
// restart and no upgrade costs a worker, and the port is served when it is free.
func TestPortThatIsTakenCostsNoWorker(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectFound()
		h.Expect("port taken")
		h.Expect("port taken, in an upgrade")
		h.program(strings.Replace(holdingServer, "3000", "8080", 1))
		h.install("--workers", "2", "--drain-timeout", "20s")
		h.Must("systemctl", "start", "app.service")
		h.started()
		rest := h.held()

		other := h.Start(machine.Command{Args: []string{"node", "-e", `require('net').createServer().listen(22222, () => console.log('up'))`}})
		other.Line(func(line string) bool { return line == "up" })
		h.Must("sed", "-i", `1i listen = ["22222=3001"]`, "/etc/rondo/app.toml")
		restarted := func(generation int) {
			t.Helper()
			before := h.status()
			h.Must("systemctl", "restart", "app.service")
			h.rolled(generation)
			if st := h.status(); st.Adopted != before.Adopted+1 {
				t.Errorf("adopted %d times, before %d", st.Adopted, before.Adopted)
			}
		}
		restarted(2)

		before := h.status()
		out, err := h.rondo("upgrade", "app")
		if err == nil || !strings.Contains(err.Error(), "--listen 22222=3001") || !strings.Contains(err.Error(), "serves on") {
			t.Errorf("an upgrade that cannot open a port: %s, %v", out, err)
		}
		if n := replaced(before, h.status()); n != 0 {
			t.Errorf("an upgrade that cannot open a port has replaced %d workers", n)
		}
		h.finished("a restart and an upgrade without a port", rest)

		if err := other.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		other.Wait()
		h.program(`for (const port of [8080, 3001]) require('http').createServer((q, r) => r.end(String(process.pid))).listen(port)`)
		restarted(3)
		if got := h.get("tcp", "127.0.0.1:22222"); !strings.Contains(fmt.Sprint(h.status().Workers), got) {
			t.Errorf("%s answers, want one of %+v", got, h.status().Workers)
		}
	})
}
