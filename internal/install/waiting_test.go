package install

import (
	"slices"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

func TestAnAppWaitsForItsFirstConnection(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	waits := func(want ...string) {
		t.Helper()
		if got, err := b.Waiting(t.Context(), "app"); err != nil || !slices.Equal(got, want) {
			t.Errorf("Waiting = %q, %v, want %q", got, err, want)
		}
	}
	waits()
	b.install(b.request("listen="+freePort(t), "listen=admin@"+freePort(t)))
	waits("app.socket", "app-admin.socket")
	for _, state := range []string{"active", "activating", "failed"} {
		b.manager.active["app.service"] = state
		waits()
	}
	delete(b.manager.active, "app.service")
	delete(b.manager.active, "app.socket")
	waits("app-admin.socket")
}
