//go:build linux && !portable

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// rpm runs rpm, which must succeed, and gives what it and its scriptlets say. Debian's has
// a database that knows of nothing else (--nodeps); that of bookworm wants to be told that
// it is meant to install.
func (h *host) rpm(args ...string) string {
	h.t.Helper()
	out, err := h.rpmSays(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *host) rpmSays(args ...string) (string, error) {
	return h.Run(append([]string{"sh", "-c", `
		case "$1-$(rpm --version)" in --initdb-* | --verify-* | --query-*) ;; *' 4.18.'*) meant=--force-debian ;; esac
		exec rpm "$@" $meant 2>&1`, "sh"}, args...)...)
}

func TestRPMIsInstalledUpgradedAndErased(t *testing.T) {
	onPackaged(t, func(t *testing.T, h *host) {
		bring := func(version string) string {
			name := "rondo-" + version + "-1.x86_64.rpm"
			h.Copy(filepath.Join(dist(t, version), name), "/root/"+name)
			return "/root/" + name
		}
		one, two := bring("1.0.0"), bring("1.1.0")
		h.rpm("--initdb")
		h.Must("mkdir", "-p", "/usr/share/licenses", "/usr/share/zsh/site-functions", "/usr/share/fish/vendor_completions.d",
			"/usr/share/man/man1", "/usr/share/man/man5", "/usr/share/man/man7") // of other packages, where rpm is at home
		before := h.files()
		h.rpm("--install", "--nodeps", one)
		if out, err := h.rpmSays("--verify", "--nodeps", "rondo"); err != nil {
			t.Errorf("rpm --verify rondo = %s, %v", out, err)
		}
		s := h.survive()
		s.upAndDown(func(version string) string {
			return s.rpm("--upgrade", "--oldpackage", "--nodeps", map[string]string{"1.0.0": one, "1.1.0": two}[version])
		}, "the rpm")
		if said := h.rpm("--erase", "rondo"); !strings.Contains(said, "app.service") {
			t.Errorf("rpm --erase does not name app.service: %s", said)
		}
		h.get("tcp", "127.0.0.1:8080") // it serves on
		h.rpm("--install", "--nodeps", one)
		if _, err := h.rondo("uninstall", "app"); err != nil {
			t.Fatal(err)
		}
		h.rpm("--erase", "rondo")
		h.Must("sh", "-c", "rm -r /srv/app && mkdir /srv/app")
		h.sameFiles(before)
	})
}

func TestAppsAreInstalledUpgradedAndErasedByRPM(t *testing.T) {
	k := nodeApp
	onPackaged(t, func(t *testing.T, h *host) {
		for _, name := range []string{"worker died", "reload failed", "systemctl reload failed", "reload's last words"} {
			h.Expect(name)
		}
		h.Allow("rpm's scriptlet failed")
		h.Allow("rpm's transaction failed")
		h.apt("install", h.bring("1.0.0"))
		h.rpm("--initdb")
		before := h.files()
		var rpms []string
		for _, r := range []struct {
			version string
			fill    func(t *testing.T, dir, version string)
		}{{"1.0.0", k.release}, {"1.1.0", k.release}, {"1.2.0", k.broken}} {
			rpms = append(rpms, h.bringOnly(k.pack(t, r.version, r.fill), ".rpm"))
		}
		h.rpm("--install", "--nodeps", rpms[0])
		h.is("app.socket", "active")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		stop := h.loads()
		h.rpm("--upgrade", "--nodeps", rpms[1])
		h.serves("1.1.0")
		said, err := h.rpmSays("--upgrade", "--nodeps", rpms[2])
		t.Logf("rpm: %v", err) // it goes on after a scriptlet that fails, and what it exits with is its own to say
		if !strings.Contains(said, "app: release 1.2.0-") || !strings.Contains(said, "so 1.1.0-") {
			t.Errorf("rpm --upgrade to a release that does not start says %s", said)
		}
		h.serves("1.1.0")
		stop()
		if version := h.rpm("--query", "app"); !strings.HasPrefix(version, "app-1.2.0-1.") {
			t.Errorf("rpm has %s", version)
		}
		h.rpm("--erase", "app")
		h.is("app.socket", "inactive")
		h.Must("rm", rpms[0], rpms[1], rpms[2])
		h.sameFiles(before)
	})
}
