//go:build !portable

package master

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"golang.org/x/sys/unix"
)

// listed has the settings of the last master, and those of now, ask for these sockets.
func (x *left) listed(cfg *Config, list ...string) {
	x.t.Helper()
	for _, text := range list {
		spec, err := settings.ParseListen(text)
		if err != nil {
			x.t.Fatal(err)
		}
		cfg.Listen = append(cfg.Listen, spec)
	}
	x.stored, cfg.Stored = cfg.Stored, nil
	x.rewrite(func(r *tableRecord) { r.Settings[1] = encode(&cfg.Settings) })
	x.stored, cfg.Stored = nil, x.stored
	cfg.Sockets[0].File.Close()
	cfg.Sockets = nil
}

// living tells how many of the workers that are left live, as long as they are nobody's
// to be reaped.
func (x *left) living() func() int {
	x.t.Helper()
	var watched []unix.PollFd
	for id := 1; id <= 2; id++ {
		dup, err := sys.Dup(x.stored[fmt.Sprintf(processName, id)])
		if err != nil {
			x.t.Fatal(err)
		}
		x.t.Cleanup(func() { sys.Close(dup) })
		watched = append(watched, unix.PollFd{Fd: int32(dup), Events: unix.POLLIN})
	}
	return func() int {
		x.t.Helper()
		n, err := unix.Poll(watched, 0)
		if err != nil {
			x.t.Fatal(err)
		}
		return len(watched) - n
	}
}

func TestAListenerThatCannotBeOpenedCostsNoWorker(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, row := range []struct {
		name    string
		adjust  func(x *left, cfg *Config)
		fails   bool
		said    int
		kept    []string
		dropped []string
	}{
		{name: "of a master that adopts", said: 1, kept: []string{"l1.listen"}},
		{
			name:   "of a master that takes the place of another",
			adjust: func(_ *left, cfg *Config) { cfg.MustAdopt = true },
			fails:  true, kept: []string{"l1.listen"}, dropped: []string{"l1.listen"},
		}, {
			name:   "of a master that starts clean",
			adjust: func(_ *left, cfg *Config) { sys.Close(cfg.Stored[serviceName]); delete(cfg.Stored, serviceName) },
			fails:  true, kept: []string{"l1.listen", "state"}, dropped: []string{"l1.listen"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := leaves(t, nil)
			living := x.living()
			path := filepath.Join(t.TempDir(), "sock")
			cfg := x.config()
			x.listed(&cfg, "unix:"+path, taken.Addr().String())
			if row.adjust != nil {
				row.adjust(x, &cfg)
			}
			l, err := x.recalls(cfg)
			if row.fails != (err != nil && strings.Contains(err.Error(), unix.EADDRINUSE.Error())) {
				t.Fatalf("recall = %v, want that it fails %v", err, row.fails)
			}
			x.expectSaid("cannot be opened", row.said)
			if err == nil && (!l.adopted || len(l.procs) != 2 || len(l.t.listeners) != 1) {
				t.Errorf("adopted %v, %d workers, %d listeners, want both workers and the other listener", l.adopted, len(l.procs), len(l.t.listeners))
			}
			if _, err := os.Lstat(path); row.fails != (err != nil) {
				t.Errorf("the socket that could be opened: %v", err)
			}
			if n := living(); n != 2 {
				t.Errorf("%d workers live, want 2", n)
			}
			if kept, dropped := x.store.did(); !slices.Equal(kept, row.kept) || !slices.Equal(dropped, row.dropped) {
				t.Errorf("kept %v, dropped %v, want %v, %v", kept, dropped, row.kept, row.dropped)
			}
		})
	}
}
