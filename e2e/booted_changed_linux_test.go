//go:build linux && !portable

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

// A socket is added, renamed and removed while no master runs: the next one takes over the
// same workers, serves what there is then, and says what has changed.
func TestSocketsThatChangeWhileNoMasterRuns(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectCrashes()
		h.Expect("socket gone")
		h.program(`require('http').createServer((q, r) => r.end(String(process.pid))).listen(8080)`)
		h.install("--listen", "127.0.0.1:8080", "--workers", "2")
		h.WriteFile("/etc/systemd/system/app.service.d/wait.conf", 0o644, "[Service]\nRestartSec=1h\n")
		h.Must("systemctl", "daemon-reload")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		workers := h.status().Workers
		between := func(said string, listeners []string, change func()) {
			t.Helper()
			h.Must("kill", "-KILL", strconv.Itoa(h.status().PID))
			h.Await("app.service", func(p map[string]string) bool { return p["SubState"] == "auto-restart" }, "SubState")
			change()
			h.Must("systemctl", "daemon-reload")
			h.Must("systemctl", "restart", "app.service")
			st := h.status()
			var names []string
			for _, l := range st.Listeners {
				names = append(names, l.Name+"@"+l.Address)
			}
			slices.Sort(names)
			if !slices.Equal(names, listeners) {
				t.Errorf("listeners are %q, want %q", names, listeners)
			}
			if len(st.Workers) != len(workers) || slices.ContainsFunc(workers, func(w master.Worker) bool {
				return !slices.ContainsFunc(st.Workers, func(now master.Worker) bool { return now.ID == w.ID && now.PID == w.PID })
			}) {
				t.Errorf("workers are %+v, want those of before, %+v", st.Workers, workers)
			}
			for _, name := range listeners {
				_, address, _ := strings.Cut(name, "@")
				if pid := h.get("tcp", address); !slices.ContainsFunc(workers, func(w master.Worker) bool { return fmt.Sprint(w.PID) == pid }) {
					t.Errorf("%s answers at %s, want one of the workers of before, %+v", pid, address, workers)
				}
			}
			entries := h.Journal(machine.Filter{Identifier: "app"})
			if !slices.ContainsFunc(entries, func(e machine.Entry) bool { return e.Message == said }) {
				t.Errorf("not in the journal: %s", said)
			}
		}
		between(`sockets were passed that the last master did not have listener=six@[::1]:8080`,
			[]string{"app.socket@127.0.0.1:8080", "six@[::1]:8080"}, func() {
				h.WriteFile("/etc/systemd/system/app-2.socket", 0o644, "[Socket]\nListenStream=[::1]:8080\nService=app.service\nFileDescriptorName=six\n")
				h.Must("systemctl", "daemon-reload")
				h.Must("systemctl", "start", "app-2.socket")
			})
		between(`sockets were passed under other names than before listener="six@[::1]:8080 is other@[::1]:8080"`,
			[]string{"app.socket@127.0.0.1:8080", "other@[::1]:8080"}, func() {
				h.Must("sed", "-i", "s/=six/=other/", "/etc/systemd/system/app-2.socket")
			})
		between(`sockets that the last master had were not passed again, and are served no more listener=other@[::1]:8080`,
			[]string{"app.socket@127.0.0.1:8080"}, func() { h.Must("systemctl", "stop", "app-2.socket") })
		if c, err := h.Dial(t.Context(), "tcp", "[::1]:8080"); err == nil {
			c.Close()
			t.Error("the socket that was removed is served")
		}
	})
}
