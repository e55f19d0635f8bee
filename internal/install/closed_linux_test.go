//go:build !portable

package install

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

func TestClosedAddressesAreThoseOfNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "rondo") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u := systemd.Unit{Name: "app.socket", Active: "active", Listen: []systemd.Listen{
		{Kind: "Datagram", Address: "127.0.0.1:1"}, {Kind: "Stream", Address: "vsock:2:1"},
	}}
	for _, l := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"unix", filepath.Join(dir, "s")}, {"unix", filepath.Join(dir, "gone")}, {"unix", "@" + dir}} {
		listener, err := net.Listen(l[0], l[1])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		u.Listen = append(u.Listen, systemd.Listen{Kind: "Stream", Address: listener.Addr().String()})
	}
	if closed := ClosedAddresses(u); closed != nil {
		t.Errorf("closed are %q, want none", closed)
	}
	gone := filepath.Join(dir, "gone")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	port := "127.0.0.1:" + freePort(t)
	u.Listen = append(u.Listen, systemd.Listen{Kind: "Stream", Address: port}, systemd.Listen{Kind: "Stream", Address: "@" + dir + "/no"})
	if closed, want := ClosedAddresses(u), []string{gone, port, "@" + dir + "/no"}; !slices.Equal(closed, want) {
		t.Errorf("closed are %q, want %q", closed, want)
	}
	u.Active = "inactive"
	if closed := ClosedAddresses(u); closed != nil {
		t.Errorf("closed are %q of a unit that listens on nothing", closed)
	}
}
