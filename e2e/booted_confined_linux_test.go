//go:build linux && !portable

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// staticProgram builds a Go program of testdata.
func staticProgram(t *testing.T, name string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", to, "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // it runs on machines with another C library, too
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

func TestGoWorkerWithoutANetworkServes(t *testing.T) {
	program := staticProgram(t, "confined")
	onBooted(t, func(t *testing.T, h *host) {
		h.Copy(program, "/srv/app/confined")
		install := func(flags ...string) {
			t.Helper()
			args := append([]string{"install", "--name", "app", "--listen", "8080=3000", "--workers", "2"}, flags...)
			if _, err := h.rondo(append(args, "--", "/srv/app/confined")...); err != nil {
				t.Fatal(err)
			}
		}
		install("--network", "none")
		h.verified()
		if got := h.get("tcp", "127.0.0.1:8080"); got != "ECONNREFUSED" { // by a loopback of its own
			t.Errorf("without a network the worker's connection came to %q", got)
		}
		h.started()
		h.Must("systemctl", "reload", "app.service")
		h.get("tcp", "127.0.0.1:8080")
		t.Log("exposure", h.exposure())

		// With one it can: the attempt is a true one.
		install()
		h.Must("systemctl", "stop", "app.service") // a restart would keep the worker for a while
		if got := h.get("tcp", "127.0.0.1:8080"); got != "connected" {
			t.Errorf("with a network the worker's connection came to %q", got)
		}
	})
}

func TestDefaultInstallConfinesNode(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(`const os = require('os'), fs = require('fs');
require('http').createServer((q, r) => {
	const tried = (f) => { try { f(); return 'done'; } catch (e) { return e.code; } };
	r.end([tried(() => fs.writeFileSync('/srv/app/x', '')), tried(() => fs.writeFileSync('/tmp/x', '')),
		require('child_process').spawnSync('chrt', ['--batch', '0', 'true']).status, os.userInfo().uid > 0].join(' '));
}).listen(3000)`)
		h.install("--listen", "8080=3000", "--workers", "2")
		h.verified()
		// May not write to the app, may to /tmp, may be SCHED_BATCH, and is not root.
		if got, want := h.get("tcp", "127.0.0.1:8080"), "EROFS done 0 true"; got != want {
			t.Errorf("the worker tells %q, want %q", got, want)
		}
		h.started()
		exposure := h.exposure()
		t.Log("exposure", exposure)
		if exposure > 2 {
			t.Errorf("systemd-analyze security tells an exposure of %v, more than 2.0", exposure)
		}
	})
}

// verified fails the test unless systemd finds the units right.
func (h *host) verified() {
	h.t.Helper()
	out, err := h.Run("sh", "-c", "systemd-analyze --no-pager verify /etc/systemd/system/app*.socket /etc/systemd/system/app.service 2>&1")
	if err != nil || out != "" {
		h.t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// exposure is what systemd-analyze security says of the service, from 0 to 10.
func (h *host) exposure() float64 {
	h.t.Helper()
	out := h.Must("systemd-analyze", "--no-pager", "security", "app.service")
	found := regexp.MustCompile(`Overall exposure level for app\.service: (\d+\.\d+) `).FindStringSubmatch(out)
	if found == nil {
		h.t.Fatalf("systemd-analyze security tells no exposure:\n%s", out)
	}
	level, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		h.t.Fatal(err)
	}
	return level
}
