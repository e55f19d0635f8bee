package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

// faults are all the ways in which Apply of req can fail at the manager, each on
// a bench of its own that prepare has made ready. All must be taken back.
func faults(t *testing.T, prepare func(*bench) Request) {
	for step := 1; ; step++ {
		b := newBench(t, systemd.System, 252)
		b.accounts.owner = 0 // with an account to make, and to remove
		b.install(b.request("name=other"))
		req := prepare(b)
		before := b.snapshot()
		p, err := b.Plan(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		p.Reopen = true
		b.manager.calls, b.manager.after = nil, step
		if _, err = b.Apply(t.Context(), p); err == nil {
			if b.manager.after == 0 {
				t.Errorf("step %d failed, and Apply did not: %q", step, b.manager.calls)
			}
			return // there are no more steps
		}
		if !errors.Is(err, errPlanted) && !strings.Contains(err.Error(), errPlanted.Error()) || !strings.HasSuffix(err.Error(), "; all was taken back") {
			t.Errorf("step %d: %v", step, err)
		}
		if after := b.snapshot(); after != before {
			t.Errorf("step %d (%q) was not taken back:\n%s", step, b.manager.calls, changed(before, after))
		}
	}
}

func TestAFirstInstallThatFailsIsTakenBack(t *testing.T) {
	port, admin := freePort(t), freePort(t)
	faults(t, func(b *bench) Request { return b.request("listen="+port, "listen=admin@"+admin) })
	faults(t, func(b *bench) Request { return b.request() })
}

func TestAChangeThatFailsIsTakenBack(t *testing.T) {
	one, two, three := freePort(t), freePort(t), freePort(t)
	faults(t, func(b *bench) Request {
		b.install(b.request("listen="+one, "listen=admin@"+two))
		b.manager.active["app.service"] = "active"
		return b.request("listen="+three, "listen=web@"+one, "workers=3")
	})
	faults(t, func(b *bench) Request { // to no sockets
		b.install(b.request("listen=" + one))
		return b.request()
	})
	faults(t, func(b *bench) Request { // from no sockets
		b.install(b.request())
		return b.request("listen=" + one)
	})
}

func TestAnInstallThatCannotWriteIsTakenBack(t *testing.T) {
	for _, blocked := range []func(*bench) *string{
		func(b *bench) *string { return &b.Paths.Sysusers },
		func(b *bench) *string { return &b.Paths.Config },
		func(b *bench) *string { return &b.Paths.Units },
	} {
		b := newBench(t, systemd.System, 252)
		b.accounts.owner = 0
		if err := os.RemoveAll(b.Paths.Units); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(filepath.Dir(b.dir), "file")
		*blocked(b) = filepath.Join(file, "below")
		before := b.snapshot()
		p, err := b.Plan(t.Context(), b.request())
		if err != nil {
			t.Fatal(err)
		}
		b.write(file, "", 0o644)
		if _, err := b.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), "not a directory; all was taken back") {
			t.Errorf("Apply = %v", err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if after := b.snapshot(); after != before {
			t.Errorf("not taken back:\n%s", changed(before, after))
		}
	}
}

func TestAnAccountThatCannotBeMadeIsTakenBack(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	b.accounts.owner, b.accounts.fail = 0, errPlanted
	p, err := b.Plan(t.Context(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Apply(t.Context(), p); !errors.Is(err, errPlanted) || !strings.Contains(err.Error(), "make the account rondo-app") ||
		!strings.Contains(err.Error(), "not all could be taken back: remove the account rondo-app") {
		t.Errorf("Apply = %v, want what failed and what is left", err)
	}
}

func TestAnInterruptedInstallIsTakenBack(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	p, err := b.Plan(t.Context(), b.request("listen="+freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	before := b.snapshot()
	ctx, cancel := context.WithCancelCause(t.Context())
	b.Manager = interrupting{b.manager, func() { cancel(errPlanted) }}
	if _, err := b.Apply(ctx, p); !errors.Is(err, errPlanted) || b.snapshot() != before {
		t.Errorf("Apply = %v", err)
	}
}

// interrupting ends the context at a daemon-reload, and fails what is asked after it.
type interrupting struct {
	*fakeManager
	cancel func()
}

func (i interrupting) Reload(ctx context.Context) error {
	i.cancel()
	return i.fakeManager.Reload(ctx)
}

func TestUnitsThatTheManagerCannotUseAreTakenBack(t *testing.T) {
	for want, unit := range map[string]systemd.Unit{
		"app.service: the manager cannot use it (bad-setting): no such thing": {Load: "bad-setting", LoadError: "no such thing"},
		"app.service: the manager takes /run/systemd/system/app.service":      {Load: "loaded", Fragment: "/run/systemd/system/app.service"},
	} {
		b := newBench(t, systemd.System, 257)
		before := b.snapshot()
		p, err := b.Plan(t.Context(), b.request("listen="+freePort(t)))
		if err != nil {
			t.Fatal(err)
		}
		b.manager.also["app.service"] = unit
		if _, err := b.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) || b.snapshot() != before {
			t.Errorf("Apply = %v, want %q", err, want)
		}
	}
}

func TestAUnixSocketThatCannotBeOpenedIsToldWithWhy(t *testing.T) {
	b := newBench(t, systemd.User, 257) // who may try what the manager may
	file := filepath.Join(b.dir, "file")
	b.write(file, "", 0o644)
	for path, want := range map[string]string{
		filepath.Join(file, "x.sock"):                    "app.socket: unix:" + file + "/x.sock=3000: listen unix " + file + "/x.sock: bind: not a directory: choose a path",
		filepath.Join(file, "below", "x.sock"):           "app.socket: unix:" + file + "/below/x.sock=3000: mkdir " + file + "/below: not a directory: choose a path",
		filepath.Join(b.dir, "new", "below", "new.sock"): "app.socket: it could not open what it listens on: see journalctl -n 50 --user-unit app.socket",
	} {
		p, err := b.Plan(t.Context(), b.request("listen=unix:"+path+"=3000"))
		if err != nil {
			t.Fatal(err)
		}
		before := b.snapshot()
		b.Manager = failing{b.manager}
		if _, err = b.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Apply = %v, want %s", err, want)
		}
		if after := b.snapshot(); after != before {
			t.Errorf("it left\n%s", changed(before, after))
		}
		b.Manager = b.manager
	}
}

// failing cannot open a socket.
type failing struct{ *fakeManager }

func (f failing) Start(_ context.Context, unit string) error {
	return fmt.Errorf("start %s: %w", unit, errPlanted)
}

func (f failing) Unit(ctx context.Context, name string) (systemd.Unit, error) {
	u, err := f.fakeManager.Unit(ctx, name)
	u.Result = "resources"
	return u, err
}
