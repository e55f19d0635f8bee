//go:build linux && !portable

package e2e

import (
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
)

func TestWithoutAControlSocketTheServiceServes(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("main process killed")
		h.Expect("killed result")
		h.Expect("no control socket")
		h.expectFound()
		h.program(`require('http').createServer((q, r) => r.end('hello')).listen(3000)`)
		h.install("--listen", "8080=3000", "--workers", "2")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		before := h.status()
		h.Must("sh", "-c", "rm /run/rondo/app/control.sock && mkdir /run/rondo/app/control.sock && kill -KILL "+strconv.Itoa(before.PID))
		told := func(words string) {
			h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool { return strings.HasPrefix(e.Message, words) })
		}
		told("the service goes on without its control socket")
		h.get("tcp", "127.0.0.1:8080")
		h.Must("rmdir", "/run/rondo/app/control.sock")
		told("the control socket is there")
		if now := h.status(); now.Adopted != 1 || now.Workers[0].PID != before.Workers[0].PID {
			t.Errorf("status %+v, before %+v, want one adoption", now, before)
		}
	})
}
