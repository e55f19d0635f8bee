//go:build linux && !portable

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
)

// template is what apps are packaged with.
const template = "../packaging/app-template/"

var nfpm = sync.OnceValues(func() (string, error) {
	path := filepath.Join(tests.binDir, "nfpm")
	build := exec.Command("go", "build", "-C", "../packaging", "-o", path, "github.com/goreleaser/nfpm/v2/cmd/nfpm")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building nfpm: %w: %s", err, out)
	}
	return path, nil
})

// packaged runs a program of the template, and gives where its packages are.
func packaged(t *testing.T, args ...string) (dir string) {
	t.Helper()
	program := rondo(t)
	nfpm, err := nfpm()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	cmd := exec.Command(template+args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "RONDO="+program, "NFPM="+nfpm, "DIST="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return dir
}

// An appKind is a way to write an app that the ledger talks to.
type appKind struct {
	name    string
	command string
	release func(t *testing.T, dir, version string) // fills the directory of one that works
}

var (
	nodeApp = appKind{"Node", "/usr/local/bin/node server.js", func(t *testing.T, dir, version string) {
		write(t, filepath.Join(dir, "server.js"), "// "+version+"\n"+ledgerServer(t, "3000"))
	}}
	goApp = appKind{"Go", "/var/lib/app/current/server", func(t *testing.T, dir, version string) {
		if out, err := exec.Command("cp", staticProgram(t, "ledger"), filepath.Join(dir, "server")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		write(t, filepath.Join(dir, "version"), version)
	}}
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// pack makes the packages of a release of the app, which fill writes, and gives where
// they are.
func (k appKind) pack(t *testing.T, version string, fill func(t *testing.T, dir, version string)) (dir string) {
	t.Helper()
	release := t.TempDir()
	fill(t, release, version)
	return packaged(t, append([]string{"build.sh", "app", version, release, "--listen", "8080=3000", "--workers", "2", "--drain-timeout", "5s", "--"},
		strings.Fields(k.command)...)...)
}

// broken fills the directory of a release that does not start.
func (k appKind) broken(t *testing.T, dir, version string) {
	const words = "this deploy is broken"
	if k.name == "Node" {
		write(t, filepath.Join(dir, "server.js"), "console.error('"+words+"'); process.exit(7)")
		return
	}
	write(t, filepath.Join(dir, "server"), "#!/bin/sh\necho '"+words+"' >&2; exit 7\n")
}

// bringOnly copies the only package of dir that ends so to the machine.
func (h *host) bringOnly(dir, end string) string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+end))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("%d packages *%s in %s, want 1 (%v)", len(found), end, dir, err)
	}
	to := "/root/" + filepath.Base(found[0])
	h.Copy(found[0], to)
	return to
}

// serves fails the test unless every ready worker of the app runs in a release of that
// version, and there are two.
func (h *host) serves(version string) {
	h.t.Helper()
	ready := 0
	for _, w := range h.status().Workers {
		if w.State != "ready" {
			continue
		}
		ready++
		if cwd := h.Must("readlink", fmt.Sprintf("/proc/%d/cwd", w.PID)); !strings.HasPrefix(cwd, "/var/lib/app/releases/"+version+"-") {
			h.t.Errorf("worker %d runs in %s, want a release of %s", w.ID, cwd, version)
		}
	}
	if ready != 2 {
		h.t.Errorf("%d workers are ready, want 2", ready)
	}
}

// onApps runs a test for each kind of app on machines that have rondo by its deb.
func onApps(t *testing.T, test func(t *testing.T, h *host, k appKind)) {
	t.Helper()
	for _, k := range []appKind{nodeApp, goApp} {
		t.Run(k.name, func(t *testing.T) {
			onPackaged(t, func(t *testing.T, h *host) {
				h.apt("install", h.bring("1.0.0"))
				test(t, h, k)
			})
		})
	}
}

func TestUpgradesOfAppPackagesLoseNothing(t *testing.T) {
	onApps(t, func(t *testing.T, h *host, k appKind) {
		before := h.files()
		one, two := h.bringOnly(k.pack(t, "1.0.0", k.release), ".deb"), h.bringOnly(k.pack(t, "1.1.0", k.release), ".deb")
		h.apt("install", one)
		h.is("app.socket", "active")
		h.is("app.service", "inactive")
		times := max(1, count(10))
		// While nothing but the socket is there.
		for range times {
			h.apt("install", two)
			h.get("tcp", "127.0.0.1:8080")
			h.started()
			h.serves("1.1.0")
			h.Must("systemctl", "stop", "app.service")
			h.apt("install", one)
			h.is("app.service", "inactive")
		}
		// And under load.
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		h.serves("1.0.0")
		stop := h.loads()
		for range times {
			h.apt("install", two)
			h.serves("1.1.0")
			h.apt("install", one)
			h.serves("1.0.0")
		}
		sum := stop()
		told(t, "%d upgrades of a package of %s and downgrades back, and as many while idle: %d requests, %d answered, %d lost, %d closed-idle",
			times, k.name, sum.Requests, sum.Answered, sum.Lost, sum.ClosedIdle)
		if kept := strings.Fields(h.Must("ls", "/var/lib/app/releases")); len(kept) != 2 {
			t.Errorf("releases are kept: %v, want the current one and the one before", kept)
		}
		h.apt("purge", "app")
		h.Must("rm", one, two)
		h.sameFiles(before)
	})
}

func TestAppPackageThatDoesNotComeUpFailsAndTheOldOneServesOn(t *testing.T) {
	onApps(t, func(t *testing.T, h *host, k appKind) {
		for _, name := range []string{"worker died", "reload failed", "systemctl reload failed", "reload's last words", "worker killed"} {
			h.Expect(name)
		}
		good, bad, next := h.bringOnly(k.pack(t, "1.0.0", k.release), ".deb"), h.bringOnly(k.pack(t, "1.1.0", k.broken), ".deb"), h.bringOnly(k.pack(t, "1.2.0", k.release), ".deb")
		h.apt("install", good)
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		stop := h.loads()
		said, err := h.Run("sh", "-c", "DEBIAN_FRONTEND=noninteractive exec apt-get -qq -y install "+bad+" 2>&1")
		if err == nil || !strings.Contains(said, "app: release 1.1.0-") || !strings.Contains(said, "so 1.0.0-") || !strings.Contains(said, "exited with code 7") {
			t.Errorf("apt install of a release that does not start = %v, and says %q, want why, and that 1.0.0 serves on", err, said)
		}
		h.serves("1.0.0")
		stop()
		if state, err := h.Run("dpkg-query", "--show", "--showformat=${db:Status-Status}", "app"); state != "half-configured" {
			t.Errorf("dpkg has the package %s (%v), want half-configured", state, err)
		}

		// A worker that is started now is of the release that serves.
		victim := h.status().Workers[0]
		h.Must("kill", "-KILL", strconv.Itoa(victim.PID))
		for limit, tick := time.After(patience), time.Tick(20*time.Millisecond); ; { // status has no event of it
			ready := 0
			for _, w := range h.status().Workers {
				if w.State == "ready" && w.PID != victim.PID {
					ready++
				}
			}
			if ready == 2 {
				break
			}
			select {
			case <-tick:
			case <-limit:
				t.Fatalf("no worker took the place of %d: %+v", victim.PID, h.status().Workers)
			}
		}
		h.serves("1.0.0")

		stop = h.loads()
		h.WriteFile("/usr/sbin/policy-rc.d", 0o755, "#!/bin/sh\nexit 101\n")
		if said := h.apt("install", next); !strings.Contains(said, "policy-rc.d forbids a reload, so 1.0.0-") {
			t.Errorf("an upgrade under policy-rc.d says %s", said)
		}
		h.serves("1.0.0")
		h.Must("rm", "/usr/sbin/policy-rc.d")
		h.apt("install", "--reinstall", next)
		h.serves("1.2.0")
		stop()
	})
}

// TestAppPackageWhosePortIsTakenIsInstalledLater has the first installation fail, and the
// next try open the socket.
func TestAppPackageWhosePortIsTakenIsInstalledLater(t *testing.T) {
	k := nodeApp
	onPackaged(t, func(t *testing.T, h *host) {
		for _, name := range []string{"port in use", "socket not received", "socket not started", "socket fails for it", "socket fails"} {
			h.Expect(name)
		}
		h.apt("install", h.bring("1.0.0"))
		deb := h.bringOnly(k.pack(t, "1.0.0", k.release), ".deb")
		other := h.Start(machine.Command{Args: []string{"node", "-e", "require('net').createServer().listen(8080, () => console.log('listens'))"}})
		other.Line(func(line string) bool { return line == "listens" })
		if out, err := h.Run("apt-get", "-qq", "-y", "install", deb); err == nil {
			t.Errorf("the package is installed where its port is taken: %s", out)
		}
		other.Signal(syscall.SIGKILL)
		other.Wait()
		h.Must("dpkg", "--configure", "app")
		h.is("app.socket", "active")
		h.get("tcp", "127.0.0.1:8080")
	})
}

// TestTemplateOfPackagesWorksAsItIs builds the two examples of the template by their own
// programs, and installs them.
func TestTemplateOfPackagesWorksAsItIs(t *testing.T) {
	onPackaged(t, func(t *testing.T, h *host) {
		// The package of Node: here Node is where the test has put it.
		h.Must("sh", "-c", "mkdir -p /root/nodejs/DEBIAN && printf 'Package: nodejs\nVersion: 20\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: Node\n' >/root/nodejs/DEBIAN/control && "+
			"mkdir -p /root/nodejs/usr/bin && ln -s /usr/local/bin/node /root/nodejs/usr/bin/node && dpkg-deb --build /root/nodejs >/dev/null")
		shop, store := packaged(t, "node/release.sh"), packaged(t, "go/release.sh", "1.0.0")
		h.apt("install", h.bring("1.0.0"), "/root/nodejs.deb", h.bringOnly(shop, ".deb"), h.bringOnly(store, ".deb"))
		for _, port := range []string{"8080", "8081"} {
			if got := h.get("tcp", "127.0.0.1:"+port); !strings.HasPrefix(got, "version 1.0.0, process ") {
				t.Errorf("the app at port %s answers %q", port, got)
			}
		}
		h.bringOnly(shop, ".rpm") // is there
		h.bringOnly(store, ".rpm")
		for _, name := range []string{"shop", "store"} {
			if out, err := h.rondo("units", "verify", "/usr/lib/systemd/system/"+name+".service"); err != nil {
				t.Errorf("rondo units verify = %q, %v", out, err)
			}
		}
		h.Must("systemctl", "stop", "shop.socket", "store.socket", "shop.service", "store.service")
	})
}
