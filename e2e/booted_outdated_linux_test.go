//go:build linux && !portable

package e2e

import (
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

func TestACrashAppliesNothingAndSaysSo(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("main process killed")
		h.Expect("killed result")
		h.Expect("outdated workers")
		h.expectFound()
		h.program(`require('http').createServer((q, r) => r.end(process.env.GREETING)).listen(3000)`)
		greeting := func(text string) {
			t.Helper()
			h.WriteFile("/etc/systemd/system/app.service.d/greeting.conf", 0o644, "[Service]\nEnvironment=GREETING="+text+"\n")
			h.Must("systemctl", "daemon-reload")
		}
		answers := func(want string, workers int) {
			t.Helper()
			got := h.get("tcp", "127.0.0.1:8080")
			if n := len(h.until("done with the old workers", func(st master.Status) bool { return len(st.Workers) <= workers }).Workers); got != want || n != workers {
				t.Errorf("%d workers answer %q, want %d and %q", n, got, workers, want)
			}
		}
		h.install("--listen", "8080=3000", "--workers", "2")
		greeting("old")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		s := &survivor{host: h}
		greeting("new")
		h.Must("sed", "--in-place", "s/^workers.*/workers = 3/", "/etc/rondo/app.toml")
		s.kill(h.status())
		answers("old", 2)
		if out, err := h.rondo("reload", "app"); err != nil {
			t.Errorf("reload: %q, %v", out, err)
		}
		answers("new", 3)
		s.kill(h.status())
		answers("new", 3)
		told := 0
		for _, e := range h.Journal(machine.Filter{Identifier: "app"}) {
			if strings.HasPrefix(e.Message, "the workers that are adopted have not what there is now") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("it is told %d times that workers are outdated, want once, before the reload", told)
		}
	})
}
