package launchctl_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/launchctl"
	"github.com/rondokit/rondo/internal/launchctl/launchctltest"
)

const label = "rondo.app"

// job writes a property list that the test's launchctl takes.
func job(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	path = filepath.Join(dir, "job.plist")
	for name, text := range map[string]string{log: "", path: "<key>Label</key>\n<string>" + label + "</string>\n<key>StandardOutPath</key>\n<string>" + log + "</string>\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestAJobComesAndGoes(t *testing.T) {
	launchd, path := launchctltest.New(t), job(t)
	d := launchctl.GUI(501)
	if j, err := d.Print(t.Context(), label); j != nil || err != nil {
		t.Errorf("Print of no job = %+v, %v", j, err)
	}
	if err := d.Bootstrap(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	j, err := d.Print(t.Context(), label)
	if want := (launchctl.Job{Path: path, State: "not running", LastExit: "(never exited)"}); err != nil || *j != want {
		t.Errorf("Print = %+v, %v, want %+v", j, err, want)
	}
	launchd.Set(label, "pid", "123")
	launchd.Set(label, "state", "running")
	launchd.Set(label, "runs", "2")
	launchd.Set(label, "code", "78: EX_CONFIG")
	j, err = d.Print(t.Context(), label)
	if want := (launchctl.Job{Path: path, State: "running", PID: 123, Runs: 2, LastExit: "78: EX_CONFIG", LastCode: 78}); err != nil || *j != want || !j.Running() {
		t.Errorf("Print = %+v, %v, want %+v", j, err, want)
	}
	for range 2 { // the second of a job that is gone
		if err := errors.Join(d.Bootout(t.Context(), label), d.AwaitEnd(t.Context(), label)); err != nil {
			t.Error(err)
		}
	}
	want := []string{"print gui/501/rondo.app", "bootstrap gui/501 " + path, "print gui/501/rondo.app", "print gui/501/rondo.app",
		"bootout gui/501/rondo.app", "print gui/501/rondo.app", "bootout gui/501/rondo.app", "print gui/501/rondo.app"}
	if got := launchd.Calls(); !slices.Equal(got, want) {
		t.Errorf("launchctl was called with %q, want %q", got, want)
	}
}

func TestAJobThatDrainsIsWaitedFor(t *testing.T) {
	launchd := launchctltest.New(t)
	launchd.Set(label, "path", "/x")
	launchd.Drain(label, 2)
	if err := errors.Join(launchctl.System.Bootout(t.Context(), label), launchctl.System.AwaitEnd(t.Context(), label)); err != nil {
		t.Fatal(err)
	}
	want := []string{"bootout system/rondo.app", "print system/rondo.app", "print system/rondo.app", "print system/rondo.app"}
	if got := launchd.Calls(); !slices.Equal(got, want) {
		t.Errorf("launchctl was called with %q, want %q", got, want)
	}
}

func TestAnEndedContextEndsTheWaitForAJob(t *testing.T) {
	launchd := launchctltest.New(t)
	launchd.Set(label, "path", "/x")
	planted := errors.New("planted")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	printed := launchd.Watch("print")
	ended := make(chan error, 1)
	go func() { ended <- launchctl.System.AwaitEnd(ctx, label) }() // ends by cancel
	printed()
	cancel(planted)
	if err := <-ended; !errors.Is(err, planted) {
		t.Errorf("AwaitEnd = %v, want %v", err, planted)
	}
}

func TestWhatLaunchctlRefusesHasCodeAndWords(t *testing.T) {
	launchd := launchctltest.New(t)
	launchd.Set(label, "path", "/x")
	err := launchctl.System.Bootstrap(t.Context(), job(t))
	wrong, ok := errors.AsType[*launchctl.Error](err)
	if !ok || wrong.Code != 5 || wrong.Text != "Bootstrap failed: 5: Input/output error" || !strings.HasPrefix(err.Error(), "launchctl bootstrap system /") {
		t.Errorf("Bootstrap of a known job = %v", err)
	}
	for _, verb := range []string{"bootout", "print"} {
		launchd.Fail(verb, 1, "Operation not permitted")
	}
	if err := launchctl.System.Bootout(t.Context(), label); err == nil || err.Error() != "launchctl bootout system/rondo.app: Operation not permitted (exit code 1)" {
		t.Errorf("Bootout = %v", err)
	}
	if _, err := launchctl.System.Print(t.Context(), label); err == nil || err.Error() != "launchctl print system/rondo.app: Operation not permitted (exit code 1)" {
		t.Errorf("Print = %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := launchctl.System.Print(t.Context(), label); !errors.Is(err, launchctl.ErrAbsent) {
		t.Errorf("Print without a launchctl = %v", err)
	}
}
