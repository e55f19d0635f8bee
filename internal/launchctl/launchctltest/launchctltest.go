// Package launchctltest is a launchctl for tests, which plays with jobs of its own and
// records how it is called. It answers as was written about the real one.
package launchctltest

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

//go:embed launchctl.sh
var script string

// A Launchd is what a test's launchctl tells its calls to.
type Launchd struct {
	t   testing.TB
	dir string
}

// New puts a launchctl first in this process's PATH until the test has ended.
func New(t testing.TB) *Launchd {
	t.Helper()
	l := &Launchd{t, t.TempDir()}
	l.write("launchctl", strings.Replace(script, "dir=DIR", "dir='"+l.dir+"'", 1), 0o755)
	t.Setenv("PATH", l.Path())
	return l
}

// Path is a PATH with this launchctl.
func (l *Launchd) Path() string { return l.dir + ":" + os.Getenv("PATH") }

// Calls are the calls since the last Calls, each the arguments with a space between.
func (l *Launchd) Calls() []string {
	l.t.Helper()
	path := filepath.Join(l.dir, "calls")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// Fail has each call of verb fail, until Mend.
func (l *Launchd) Fail(verb string, code int, text string) {
	l.t.Helper()
	l.write("fail-"+verb, fmt.Sprintf("%d\n%s\n", code, text), 0o644)
}

// FailOnce has the next call of verb fail.
func (l *Launchd) FailOnce(verb string, code int, text string) {
	l.t.Helper()
	l.write("fail-once-"+verb, fmt.Sprintf("%d\n%s\n", code, text), 0o644)
}

// Mend has verb work again.
func (l *Launchd) Mend(verb string) {
	l.t.Helper()
	if err := os.Remove(filepath.Join(l.dir, "fail-"+verb)); err != nil {
		l.t.Fatal(err)
	}
}

// Drain has a job end only when it was looked at so often after its bootout.
func (l *Launchd) Drain(label string, looks int) {
	l.t.Helper()
	l.Set(label, "drains", fmt.Sprint(looks))
}

// Set changes what print tells of a job: path, state, pid, runs or code. A job that was
// not known is then.
func (l *Launchd) Set(label, key, value string) {
	l.t.Helper()
	job := filepath.Join(l.dir, "jobs", label)
	if err := os.MkdirAll(job, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.write(filepath.Join("jobs", label, key), value+"\n", 0o644)
}

// Forget has a job gone.
func (l *Launchd) Forget(label string) {
	l.t.Helper()
	if err := os.RemoveAll(filepath.Join(l.dir, "jobs", label)); err != nil {
		l.t.Fatal(err)
	}
}

// Watch gives a function that waits until launchctl is called with verb. Who calls it once
// more is kept waiting.
func (l *Launchd) Watch(verb string) (wait func()) {
	l.t.Helper()
	path := filepath.Join(l.dir, "seen-"+verb)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return func() {
		l.t.Helper()
		if _, err := os.ReadFile(path); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Unwatch has nobody wait for verb any more.
func (l *Launchd) Unwatch(verb string) {
	l.t.Helper()
	if err := os.Remove(filepath.Join(l.dir, "seen-"+verb)); err != nil {
		l.t.Fatal(err)
	}
}

// Jobs is all that is known of all jobs.
func (l *Launchd) Jobs() string {
	l.t.Helper()
	var b strings.Builder
	paths, err := filepath.Glob(filepath.Join(l.dir, "jobs", "*", "*"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			l.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s = %s", strings.TrimPrefix(path, l.dir), text)
	}
	return b.String()
}

func (l *Launchd) write(name, text string, mode fs.FileMode) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), mode); err != nil {
		l.t.Fatal(err)
	}
}
