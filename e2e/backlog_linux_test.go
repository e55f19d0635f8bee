//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
	"golang.org/x/sys/unix"
)

// TestTheBacklogOfAProgramIsThatOfItsListener is of a listener that the master opens, and
// of one that the worker listens on itself, which the master has open, too.
func TestTheBacklogOfAProgramIsThatOfItsListener(t *testing.T) {
	script := filepath.Join(t.TempDir(), "program.js")
	if err := os.WriteFile(script, []byte(`require('net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 77 })`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, schedule := range []settings.Schedule{"rr", "none"} {
		t.Run(string(schedule), func(t *testing.T) {
			cfg := master.Config{Settings: quick([]string{node(t, 20), script}, 2), Env: os.Environ()}
			cfg.Schedule = schedule
			s := launch(t, cfg, takeCensus())
			s.await(func(e master.Event) bool { return e.Ready })
			if got := listening(t, 77); got != 1 {
				t.Errorf("this process has %d listeners with the backlog of the program, want 1", got)
			}
		})
	}
}

// listening counts the TCP listeners of this process that have that backlog, which the
// kernel tells instead of tcpi_sacked (tcp_get_info in net/ipv4/tcp.c).
func listening(t *testing.T, backlog uint32) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(fmt.Errorf("/proc/self/fd: %w", err))
		}
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State == unix.BPF_TCP_LISTEN && info.Sacked == backlog {
			n++
		}
	}
	return n
}
