//go:build !portable

package install

import (
	"fmt"
	"os"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

// Who has a port is told by Linux alone.
func TestDoctorFindsWhoHasAPort(t *testing.T) {
	port := freePort(t)
	taken := fmt.Sprintf("127.0.0.1:%s=3000: the port is taken by install.test (pid %d)", port, os.Getpid())
	kill := fmt.Sprintf("sudo kill %d && tail --pid=%[1]d -s 0.1 -f /dev/null && ", os.Getpid())
	other := systemd.Unit{Active: "active", Listen: []systemd.Listen{{Kind: "Datagram", Address: "127.0.0.1:" + port}}}
	finds(t, port, []fault{
		{"port taken", func(b *bench) { b.takes(port); b.fails("app.socket", "resources", "") },
			"app.socket failed: " + taken + " -> " + kill + "sudo systemctl restart app.socket"},
		{"port taken of a socket that was stopped", func(b *bench) { b.takes(port); delete(b.manager.active, "app.socket") },
			"app.socket is enabled and does not listen: " + taken + " -> " + kill + "sudo systemctl start app.socket"},
		{"port taken by a service", func(b *bench) {
			b.takes(port)
			b.fails("app.socket", "resources", "")
			b.manager.unitOf = "other.service"
		}, "app.socket failed: " + taken + " -> sudo systemctl stop other.service && sudo systemctl restart app.socket"},
		{"port taken in a user's manager", func(b *bench) {
			b.takes(port)
			b.fails("app.socket", "resources", "")
			b.manager.unitOf = "user@1000.service"
		}, "app.socket failed: " + taken + " -> " + kill + "sudo systemctl restart app.socket"},
		{"port taken by the manager", func(b *bench) {
			b.takes(port)
			b.fails("app.socket", "resources", "")
			b.manager.unitOf, b.manager.also["a.socket"] = "init.scope", other
			other.Listen = []systemd.Listen{{Kind: "Stream", Address: "/run/x"}, {Kind: "Stream", Address: "127.0.0.1:" + port}}
			other.Triggers = []string{"b.service"}
			b.manager.also["b.socket"] = other
		}, "app.socket failed: 127.0.0.1:" + port + "=3000: the port is taken by b.socket, which is of b.service -> sudo systemctl stop b.socket && sudo systemctl restart app.socket"},
		{"port taken by the manager, who knows where", func(b *bench) {
			b.takes(port)
			b.fails("app.socket", "resources", "")
			b.manager.unitOf = "init.scope"
		}, "app.socket failed: " + taken + " -> sudo ss --tcp --listening --numeric --processes 'sport = :" + port + "'"},
	})
}
