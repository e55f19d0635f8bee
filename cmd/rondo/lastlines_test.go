package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAFailedReloadShowsTheWorkersLastLines(t *testing.T) {
	h := newHome(t)
	t.Setenv("PATH", h.dir+":"+os.Getenv("PATH"))
	since := time.Unix(1700000000, 5000)
	const text = "worker of slot 0 (generation 2) exited with code 1; its last output: journalctl -t app-1.x/12 -n 20"
	failed := errors.New(text)
	said := filepath.Join(h.dir, "said")
	for _, row := range [][2]string{
		{"echo boom", "worker of slot 0 (generation 2) exited with code 1; its last output: boom"},
		{"echo 'Error: boom'; echo ' at x.js:1'; echo Node.js", "worker of slot 0 (generation 2) exited with code 1; its last output: Error: boom (the rest: journalctl -t app-1.x/12 -n 20)"},
		{"exit 1", text}, // it may not be read
		{"test -e again || { touch again; exit 0; }; echo late", "worker of slot 0 (generation 2) exited with code 1; its last output: late"},
	} {
		script, want := row[0], row[1]
		h.file("journalctl", "#!/bin/sh\ncd "+h.dir+"\necho \"$@\" > said\n"+script+"\n", 0o755)
		if got := withLastLines(t.Context(), failed, since); got.Error() != want {
			t.Errorf("with a journalctl of %q: %q, want %q", script, got, want)
		}
		args, err := os.ReadFile(said)
		if want := "--no-pager -q -o cat --since @1700000000.000005 -t app-1.x/12 -n 20\n"; err != nil || string(args) != want {
			t.Errorf("journalctl was given %q, %v, want %q", args, err, want)
		}
	}
	followed := withLastLines(t.Context(), errors.New(text+"; all was taken back"), since)
	if got := oneLine(followed); !strings.HasSuffix(got, "exited with code 1; its last output: late; all was taken back") {
		t.Errorf("in the middle of an error: %q", got)
	}
	t.Setenv("PATH", h.dir+"/none")
	if got := withLastLines(t.Context(), failed, since); got != failed {
		t.Errorf("without journalctl: %v", got)
	}
	for _, other := range []string{
		"no command",
		"exited; its last output:\njournalctl -t app/0 -n 20 is what it said",
		"its last output: journalctl -t $(x)/0 -n 20",
		"its last output: journalctl -t --help/0 -n 20",
	} {
		if got := withLastLines(t.Context(), errors.New(other), since); got.Error() != other {
			t.Errorf("of %q became %q", other, got)
		}
	}
	if got := oneLine(errors.New("its last output:\nboom\n at x")); !strings.HasSuffix(got, "its last output: boom; at x") {
		t.Errorf("on one line it is %q", got)
	}
}
