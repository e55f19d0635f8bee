//go:build linux && !portable

package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

// straying goes before a server: the worker of slot 1 has a child that ignores SIGTERM,
// in a session of its own.
const straying = `if (process.env.RONDO_SLOT === '1')
  require('child_process').spawn(process.execPath, ['-e', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1 << 30)"], { detached: true, stdio: 'ignore' }).unref();
`

// drainsAt restarts a unit, which has the service drain for that reason: it waits for
// what is in flight. The error is systemctl's.
func (h *host) drainsAt(unit, reason string) error {
	h.t.Helper()
	rest := h.held()
	told := h.told(reason)
	restart := h.Start(machine.Command{Args: []string{"systemctl", "restart", unit}})
	h.AwaitEntry(machine.Filter{Identifier: "app"}, func(machine.Entry) bool { return h.told(reason) > told })
	h.finished("restart of "+unit, rest)
	return restart.Wait()
}

// told is how often systemd-stop gave that reason.
func (h *host) told(reason string) (n int) {
	for _, e := range h.Journal(machine.Filter{Identifier: "app"}) {
		if strings.HasPrefix(e.Message, "systemd-stop: "+reason) {
			n++
		}
	}
	return n
}

func TestRestartOfTheSocketDrains(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		const reason = "systemd is also to restart app.socket, so the service drains"
		h.Expect("restart with its socket drains")
		h.Expect("one left in a stop")
		h.program(straying + holdingServer)
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "20s")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		before := h.status()
		if err := h.drainsAt("app.socket", reason); err != nil {
			t.Error(err)
		}
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		after := h.ready("a restart of the socket")
		if n := replaced(before, after); n != 2 || after.Adopted != 0 {
			t.Errorf("after a restart of the socket %d workers are new, want 2; status %+v", n, after)
		}

		// To an address that is taken.
		for _, name := range []string{"port in use", "socket not received", "socket fails for it", "socket fails", "socket does not listen", "service without its socket", "socket without its file"} {
			h.Expect(name)
		}
		other := h.Start(machine.Command{Args: []string{"node", "-e", `require('net').createServer().listen(22222, () => console.log('up'))`}})
		other.Line(func(line string) bool { return line == "up" })
		const port = "/etc/systemd/system/app.socket.d/port.conf"
		h.WriteFile(port, 0o644, "[Socket]\nListenStream=\nListenStream=22222\n")
		h.Must("systemctl", "daemon-reload")
		if err := h.drainsAt("app.socket", reason); err == nil {
			t.Error("app.socket listens on an address that is taken")
		}
		p := h.Show("app.service", "ActiveState", "NFileDescriptorStore")
		if left := h.Left("app.service"); len(left) > 0 || p["ActiveState"] != "inactive" || p["NFileDescriptorStore"] != "0" {
			t.Errorf("of a service without its socket are left: processes %v, %v", left, p)
		}
		if err := other.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		other.Wait() // it was killed
		h.Must("rm", port)
		h.Must("systemctl", "daemon-reload")
		h.Must("systemctl", "restart", "app.socket")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
	})
}

func TestRestartAsAnotherAccountDrains(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("restart as another account drains")
		h.Expect("account not held")
		h.Must("useradd", "--system", "--uid", "901", "web")
		h.Must("useradd", "--system", "--uid", "902", "other")
		h.program(holdingServer)
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "20s", "--run-as", "web")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		h.WriteFile("/etc/systemd/system/app.service.d/user.conf", 0o644, "[Service]\nUser=other\nGroup=other\n")
		h.Must("systemctl", "daemon-reload")
		if err := h.drainsAt("app.service", "the next master is to run as uid 902 and process "); err != nil {
			t.Error(err)
		}
		after := h.ready("a restart as another account")
		if after.Adopted != 0 {
			t.Errorf("after a restart as another account: %+v", after)
		}
		h.alone("after a restart as another account", after)
		if out, err := h.Run("pgrep", "--euid", "web"); err == nil {
			t.Errorf("processes of the old account are left: %s", out)
		}
	})
}

// Systemd runs nothing of the service when a
// Condition= skips its start, and what a restart has left for that start stays.
func TestWhatARestartThatIsSkippedLeavesIsEnded(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		old := strings.HasSuffix(t.Name(), "/"+string(machine.Bookworm)) // which keeps no store for a start that is skipped
		h.expectFound()
		if old {
			h.Expect("two of an earlier run")
		}
		h.program(deafServer)
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "1s", "--kill-timeout", "100ms")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		h.WriteFile("/etc/systemd/system/app.service.d/condition.conf", 0o644, "[Unit]\nConditionPathExists=/run/may\n")
		h.Must("systemctl", "daemon-reload")
		skipped := func() {
			t.Helper()
			before := pidsOf(h.status())
			h.Must("systemctl", "restart", "app.service")
			h.is("app.service", "inactive")
			var left []int
			for _, p := range h.Left("app.service") {
				left = append(left, p.PID)
			}
			slices.Sort(before)
			slices.Sort(left)
			if !slices.Equal(left, before) {
				t.Errorf("a start that is skipped leaves processes %v, want the workers %v", left, before)
			}
			h.finds(`in app\.service runs what is no worker's: node \(\d+\), node \(\d+\)`)
		}
		before := h.status()
		skipped()
		h.Must("touch", "/run/may")
		h.Must("systemctl", "start", "app.service")
		if old {
			h.alone("the next start", h.status()) // before READY
		}
		after := h.until("alone", func(st master.Status) bool {
			return st.State == "ready" && len(st.Workers) == 2 && replaced(before, st) == 2
		})
		h.alone("after the next start", after)
		if want := map[bool]int{true: 0, false: 1}[old]; after.Adopted != want {
			t.Errorf("the next start adopted %d times, want %d", after.Adopted, want)
		}

		h.Must("rm", "/run/may")
		skipped()
		if out := h.Must("/usr/local/bin/rondo", "uninstall", "app"); strings.Count(out, ", which the service had left behind\n") != 2 {
			t.Errorf("uninstall says %q, want two that it killed", out)
		}
		if left := h.Left("app.service"); len(left) > 0 {
			t.Errorf("after uninstall are left: %v", left)
		}
	})
}
