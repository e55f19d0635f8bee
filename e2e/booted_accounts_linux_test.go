//go:build linux && !portable

package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
)

// uidServer answers with the account that it runs as.
const uidServer = `require('http').createServer((q, r) => r.end(String(process.getuid()))).listen(3000)`

func TestInstallRunsAnAppInAHomeAsItsAccount(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Must("useradd", "--create-home", "--uid", "1000", "alice")
		h.Must("useradd", "--system", "web")
		h.WriteFile("/home/alice/site/server.js", 0o600, uidServer)
		h.Must("chown", "--recursive", "alice:", "/home/alice")
		h.Must("chmod", "0700", "/home/alice")
		install := func(flags ...string) []string {
			return append(append([]string{"--directory", "/home/alice/site", "--listen", "8080=3000", "--workers", "1"}, flags...), "--", "node", "server.js")
		}
		// By name, and by who owns the directory.
		for _, flags := range [][]string{{"--run-as", "alice"}, nil} {
			out, err := h.rondo(append([]string{"install", "--name", "app"}, install(flags...)...)...)
			if err != nil {
				t.Fatal(err)
			}
			why := "alice, who owns /home/alice/site"
			if len(flags) > 0 {
				why = "alice, as --run-as says"
			}
			says(t, out, "app is installed, and runs as "+why+"\n", "it has files in a home: all homes are shown to it, read-only, as far as their permissions allow\n")
			if got := h.get("tcp", "127.0.0.1:8080"); got != "1000" {
				t.Errorf("it runs as %s, want 1000", got)
			}
			unit, err := h.ReadFile("/etc/systemd/system/app.service")
			if err != nil {
				t.Fatal(err)
			}
			says(t, unit, "\nUser=alice\n", "\nProtectHome=read-only\n", "\n# ProtectHome=yes: the app has files in a home.")
			h.started()
			says(t, h.doctor(), "app: nothing is wrong")
			h.Must("rondo", "uninstall", "app")
		}
		h.refuses("directory: /home/alice/site: web may not enter /home/alice (owner alice, mode 0700): homes stay closed: put it into a directory like /srv/app, or run it as the owner: --run-as alice",
			install("--run-as", "web")...)
		h.WriteFile("/root/site/server.js", 0o644, uidServer)
		h.refuses("may not enter /root (owner root, mode 0700): homes stay closed: put it into a directory like /srv/app",
			"--directory", "/root/site", "--listen", "8080=3000", "--", "node", "server.js")
		h.Must("chmod", "0", "/home/alice/site/server.js")
		h.refuses("command: alice may not read /home/alice/site/server.js (owner alice, mode 0000): chmod u+r /home/alice/site/server.js", install()...)
		h.refuses(`--run-as: there is no account "bob": make one`, install("--run-as", "bob")...)
	})
}

// Before systemd 257 an app of root's has a static account, made by its install and
// removed by its uninstall; from then on a dynamic user, which exists while it runs.
func TestInstallMakesAnAccountAndUninstallRemovesIt(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(uidServer)
		h.install("--listen", "8080=3000", "--workers", "1")
		uid := h.get("tcp", "127.0.0.1:8080")
		h.started()
		name, dynamic := "app", "yes"
		static := h.Must("uname", "--nodename") == string(machine.Bookworm)
		if static {
			name, dynamic = "rondo-app", "no"
		}
		if got := h.Must("id", "--name", "--user", uid); got != name || h.Show("app.service", "DynamicUser")["DynamicUser"] != dynamic {
			t.Errorf("it runs as %s (%s), want %s", got, uid, name)
		}
		if _, err := h.Run("grep", "^"+name+":", "/etc/passwd"); (err == nil) != static {
			t.Errorf("the account %s is static: %v, want %v", name, err == nil, static)
		}
		if static { // which is not taken from a process that has it
			p := h.Start(machine.Command{Args: []string{"sh", "-c", "echo up; exec sleep infinity"}, User: name})
			p.Line(func(line string) bool { return line == "up" })
			says(t, h.Must("rondo", "uninstall", "app"), fmt.Sprintf("kept /etc/sysusers.d/rondo-app.conf and the account rondo-app, as which process %d runs: end it, and uninstall again", p.PID()))
			h.Must("id", name)
			if err := p.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			p.Wait() // it was killed
		}
		says(t, h.Must("rondo", "uninstall", "app"), "removed ")
		if left := h.traces(); left != "" {
			t.Errorf("it leaves\n%s", left)
		}
		if out, err := h.Run("id", name); err == nil {
			t.Errorf("the account is there still: %s", out)
		}
	})
}
