//go:build linux && !portable

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var dists sync.Map // of functions that give a directory, by version

// dist gives the directory of the packages of a version, for this machine's processors.
func dist(t *testing.T, version string) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(rondo(t)), "dist-"+version)
	made, _ := dists.LoadOrStore(version, sync.OnceValue(func() error {
		cmd := exec.Command("../packaging/build.sh")
		cmd.Env = append(os.Environ(), "VERSION="+version, "COMMIT=0123456789abcdef", "SOURCE_DATE_EPOCH=1700000000", "TARGETS=linux/amd64", "DIST="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("packages of %s: %w: %s", version, err, out)
		}
		return nil
	}))
	if err := made.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// debOf names the deb of a version.
func debOf(version string) string { return "rondo_" + version + "-1_amd64.deb" }

// bring copies the deb of a version to the machine.
func (h *host) bring(version string) string {
	h.t.Helper()
	name := debOf(version)
	h.Copy(filepath.Join(dist(h.t, version), name), "/root/"+name)
	return "/root/" + name
}

// apt runs apt-get, which must succeed, and gives what it says.
func (h *host) apt(args ...string) string {
	h.t.Helper()
	return h.Must(append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--allow-downgrades"}, args...)...)
}

// accounts are those of the machine.
func (h *host) accounts() string {
	h.t.Helper()
	return h.Must("sh", "-c", "getent passwd; getent group")
}

// files are all that a package, or an app, may leave.
func (h *host) files() []string {
	h.t.Helper()
	out := h.Must("find", "/etc", "/usr", "/var", "/opt", "/srv", "/root", "/home",
		"-path", "/var/log", "-prune", "-o", "-path", "/var/cache", "-prune", "-o", "-path", "/var/lib/systemd", "-prune", "-o",
		"-path", "/var/lib/dpkg", "-prune", "-o", "-path", "/var/lib/apt", "-prune", "-o", "-path", "/var/lib/rpm", "-prune", "-o", "-print")
	return strings.Split(strings.TrimSpace(out), "\n")
}

// sameFiles fails the test unless files gives the same as before.
func (h *host) sameFiles(before []string) {
	h.t.Helper()
	after := h.files()
	for _, path := range after {
		if !slices.Contains(before, path) {
			h.t.Errorf("left: %s", path)
		}
	}
	for _, path := range before {
		if !slices.Contains(after, path) {
			h.t.Errorf("gone: %s", path)
		}
	}
}

// onPackaged runs a test on machines that have no rondo.
func onPackaged(t *testing.T, test func(t *testing.T, h *host)) {
	t.Helper()
	onHosts(t, bootBare, test)
}

// upAndDown installs 1.1.0, and 1.0.0 again, under load: each must take the master over,
// and say so.
func (s *survivor) upAndDown(install func(version string) string, what string) {
	s.t.Helper()
	times := max(1, count(10))
	for range times {
		for _, version := range []string{"1.1.0", "1.0.0"} {
			before := s.upgraded()
			said := install(version)
			if want := fmt.Sprintf("app: version %s serves, before %s, with the same 2 workers", version, before.Version); !strings.Contains(said, want) {
				s.t.Errorf("installing %s does not say %q: %s", version, want, said)
			}
			s.sameMaster(before, version)
		}
	}
	s.end(fmt.Sprintf("%d upgrades of %s and downgrades back", times, what))
}

func TestPackageUpgradesLoseNothing(t *testing.T) {
	onPackaged(t, func(t *testing.T, h *host) {
		one, two := h.bring("1.0.0"), h.bring("1.1.0")
		h.apt("install", one)
		s := h.survive()
		s.upAndDown(func(version string) string {
			return s.apt("install", map[string]string{"1.0.0": one, "1.1.0": two}[version])
		}, "the package")
	})
}

func TestPackageUpgradesWhatIsIdleOrForbidden(t *testing.T) {
	onPackaged(t, func(t *testing.T, h *host) {
		one, two := h.bring("1.0.0"), h.bring("1.1.0")
		h.apt("install", one)
		h.program(surviving(t, "3000"))
		h.install("--listen", "8080=3000", "--workers", "2")
		if said := h.apt("install", two); !strings.Contains(said, "no rondo is running") {
			t.Errorf("an upgrade while only the socket is there says %s", said)
		}
		h.get("tcp", "127.0.0.1:8080")
		before := h.upgraded()
		if before.Version != "1.1.0" {
			t.Errorf("the first connection starts version %s", before.Version)
		}
		h.WriteFile("/usr/sbin/policy-rc.d", 0o755, "#!/bin/sh\nexit 101\n")
		if said := h.apt("install", one); !strings.Contains(said, "policy-rc.d forbids") {
			t.Errorf("an upgrade under policy-rc.d says %s", said)
		}
		if now := h.upgraded(); now.Version != "1.1.0" || now.PID != before.PID {
			t.Errorf("under policy-rc.d the master is %d of version %s, before %d of 1.1.0", now.PID, now.Version, before.PID)
		}
		if out, err := h.rondo("upgrade", "--all", "--within", "60s"); err != nil || !strings.Contains(out, "version 1.0.0 serves, before 1.1.0") {
			t.Errorf("rondo upgrade --all = %q, %v", out, err)
		}
	})
}

func TestPackageLeavesNothing(t *testing.T) {
	onPackaged(t, func(t *testing.T, h *host) {
		deb := h.bring("1.0.0")
		before := h.files()
		h.apt("install", deb)
		h.program(surviving(t, "3000"))
		h.install("--listen", "8080=3000", "--workers", "2")
		h.get("tcp", "127.0.0.1:8080")
		said := h.apt("remove", "rondo")
		if !strings.Contains(said, "app.service") {
			t.Errorf("the removal does not name app.service: %s", said)
		}
		h.get("tcp", "127.0.0.1:8080") // it serves on
		h.apt("install", deb)
		if _, err := h.rondo("uninstall", "app"); err != nil {
			t.Fatal(err)
		}
		h.apt("purge", "rondo")
		h.Must("rm", "-r", "/srv/app")
		h.Must("mkdir", "/srv/app")
		h.sameFiles(before)
	})
}

// TestPurgeTakesWhatInstallWrote purges under an app that is installed: one that is up
// keeps its files and serves on, one that is not goes with the package.
func TestPurgeTakesWhatInstallWrote(t *testing.T) {
	onPackaged(t, func(t *testing.T, h *host) {
		deb, next := h.bring("1.0.0"), h.bring("1.1.0")
		h.program(surviving(t, "3000"))
		before, accounts := h.files(), h.accounts()
		h.apt("install", deb)
		h.install("--listen", "8080=3000")
		h.get("tcp", "127.0.0.1:8080")
		if said := h.apt("purge", "rondo"); !strings.Contains(said, "app is up, so its files stay") {
			t.Errorf("a purge under an app that is up says %s", said)
		}
		h.get("tcp", "127.0.0.1:8080")
		h.apt("install", next)
		if now := h.upgraded(); now.Version != "1.1.0" {
			t.Errorf("after the package came back the master is of version %s, want 1.1.0", now.Version)
		}
		h.Must("systemctl", "stop", "app.socket", "app.service")
		h.WriteFile("/etc/systemd/system/mine.service", 0o644, h.Must("cat", "/etc/systemd/system/app.service")+"\n# mine\n")
		if said := h.apt("purge", "rondo"); !strings.Contains(said, "mine.service was edited") {
			t.Errorf("a purge beside a unit that was edited says %s", said)
		}
		h.Must("rm", "/etc/systemd/system/mine.service")
		h.sameFiles(before)
		if now := h.accounts(); now != accounts {
			t.Errorf("accounts after a purge: %s; before: %s", now, accounts)
		}
	})
}

// TestPackageInAChroot installs and purges where no systemd runs, as who builds an image does.
func TestPackageInAChroot(t *testing.T) {
	onPackaged(t, func(t *testing.T, h *host) {
		deb := h.bring("1.0.0")
		h.Must("mkdir", "/mnt/image")
		h.Must("mount", "--bind", "/", "/mnt/image") // without what is mounted in it, as /run
		defer h.Must("umount", "/mnt/image")
		inside := func(args ...string) string {
			t.Helper()
			return h.Must(append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "chroot", "/mnt/image"}, args...)...)
		}
		if _, err := h.Run("chroot", "/mnt/image", "test", "-d", "/run/systemd/system"); err == nil {
			t.Fatal("systemd runs in the chroot")
		}
		before := h.files()
		inside("apt-get", "-qq", "-y", "install", deb)
		inside("apt-get", "-qq", "-y", "install", "--reinstall", deb)
		if out := inside("rondo", "version"); !strings.HasPrefix(out, "rondo 1.0.0 ") {
			t.Errorf("rondo version = %q", out)
		}
		app := h.bringOnly(nodeApp.pack(t, "1.0.0", nodeApp.release), ".deb")
		inside("apt-get", "-qq", "-y", "install", app)
		if out := inside("systemctl", "is-enabled", "app.socket"); out != "enabled" {
			t.Errorf("app.socket is %q, want enabled", out)
		}
		inside("apt-get", "-qq", "-y", "purge", "app")
		inside("apt-get", "-qq", "-y", "purge", "rondo")
		h.Must("rm", app)
		h.sameFiles(before)
	})
}

// TestPackageUpgradeDoesNotWaitForAMasterThatHangs waits for 20 s on each machine.
func TestPackageUpgradeDoesNotWaitForAMasterThatHangs(t *testing.T) {
	if !soak {
		t.Skip("not checked that a master that hangs holds up the package for a minute at most: make soak does")
	}
	onPackaged(t, func(t *testing.T, h *host) {
		one, two := h.bring("1.0.0"), h.bring("1.1.0")
		h.apt("install", one)
		h.program(surviving(t, "3000"))
		h.WriteFile("/etc/systemd/system/app.service.d/watchdog.conf", 0o644, "[Service]\nWatchdogSec=0\n")
		h.install("--listen", "8080=3000", "--workers", "2")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		pid := strconv.Itoa(h.status().PID)
		h.Must("kill", "-STOP", pid)
		began := time.Now()
		said, err := h.Run("sh", "-c", "DEBIAN_FRONTEND=noninteractive exec apt-get -qq -y install "+two+" 2>&1")
		took := time.Since(began)
		h.Must("kill", "-CONT", pid)
		if err != nil || !strings.Contains(said, "app") || !strings.Contains(said, "serve on with the rondo they have") {
			t.Errorf("apt install with a master that hangs: %v, and says %q, want success, and app named", err, said)
		}
		if took > 65*time.Second { // apt's own part is one or two
			t.Errorf("it took %v", took)
		}
		h.get("tcp", "127.0.0.1:8080")
		told(t, "a master that hangs held up the package for %.0f s", took.Seconds())
	})
}
