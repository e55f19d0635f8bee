//go:build !portable

package sys

import (
	"net"
	"net/netip"
	"testing"
)

func TestListeningFindsWhatListensAndNothingElse(t *testing.T) {
	t.Chdir(t.TempDir())
	const path = "a b.sock"
	for _, l := range [][2]string{{"tcp", "127.0.0.1:0"}, {"tcp", "[::1]:0"}, {"tcp", "[::]:0"}, {"unix", path}, {"unix", "@rondo " + t.TempDir()}} {
		listener, err := net.Listen(l[0], l[1])
		if err != nil {
			t.Logf("not checked: %v", err)
			continue
		}
		conn, err := net.Dial(l[0], listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		at, _ := netip.ParseAddrPort(listener.Addr().String()) // none of a path
		has := func() bool {
			if l[0] == "unix" {
				return Listening().Unix(l[1])
			}
			return Listening().TCP(at)
		}
		if !has() {
			t.Errorf("%s %s listens, and was not found", l[0], listener.Addr())
		}
		if l[0] == "tcp" && Listening().TCP(netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), at.Port())) {
			t.Errorf("%s was found where another address listens", at)
		}
		listener.Close() // the connection is there still
		if has() {
			t.Errorf("%s %s was found after it was closed", l[0], l[1])
		}
		conn.Close()
	}
}
