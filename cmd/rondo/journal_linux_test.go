//go:build !portable

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A journald is as much of systemd-journald as a service sees: the socket for
// entries and the one for streams.
type journald struct {
	t       *testing.T
	run     string // stands for /run
	entries *net.UnixConn
	streams *net.UnixListener
}

func newJournald(h *home) *journald {
	h.t.Helper()
	j := &journald{t: h.t, run: filepath.Join(h.dir, "run")}
	dir := filepath.Join(j.run, "systemd", "journal")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	var err error
	if j.entries, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"}); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { j.entries.Close() })
	if j.streams, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "stdout"), Net: "unix"}); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { j.streams.Close() })
	deadline := time.Now().Add(patience)
	if err := j.entries.SetReadDeadline(deadline); err != nil {
		h.t.Fatal(err)
	}
	if err := j.streams.SetDeadline(deadline); err != nil {
		h.t.Fatal(err)
	}
	return j
}

// gets waits for an entry with this message and returns its lines.
func (j *journald) gets(message string) string {
	j.t.Helper()
	buf := make([]byte, 1<<16)
	for {
		n, err := j.entries.Read(buf)
		if err != nil {
			j.t.Fatalf("no entry with %q: %v", message, err)
		}
		if entry := string(buf[:n]); strings.Contains(entry, "MESSAGE="+message) {
			return entry
		}
	}
}

// start runs h's rondo with j for its journal: in a mount namespace of its own,
// where /run is j's, and with a file for the stream that stderr would be.
func (j *journald) start(h *home, args ...string) *process {
	h.t.Helper()
	stderr, err := os.Create(filepath.Join(h.dir, "stderr"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { stderr.Close() })
	var stat syscall.Stat_t
	if err := syscall.Stat(stderr.Name(), &stat); err != nil {
		h.t.Fatal(err)
	}
	script := []string{"-m", "sh", "-c", `mount --bind "$1" /run && shift && exec 2>"$1" && shift && exec "$@"`, "sh", j.run, stderr.Name(), binary}
	cmd := exec.Command("unshare", append(script, args...)...)
	cmd.Env, cmd.Dir = append(h.env, fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino)), h.dir
	return start(h.t, cmd)
}

// journalOf is a journal and the home of who writes to it.
func journalOf(t *testing.T) (*journald, *home) {
	t.Helper()
	if out, err := exec.Command("unshare", "-m", "mount", "--bind", "/tmp", "/run").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace (%s): logging to the journal was not checked", strings.TrimSpace(string(out)))
	}
	h := newHome(t)
	return newJournald(h), h
}

func TestUnderTheJournalEachHasItsOwnEntries(t *testing.T) {
	j, h := journalOf(t)
	p := j.start(h, "run", "--name", "app", "--workers", "1", "--listen", "unix:"+h.web()+"=3000", "--", binary, "demo-worker")

	entry := j.gets("serving")
	for _, want := range []string{"SYSLOG_IDENTIFIER=app\n", "PRIORITY=6\n", "RONDO_WORKERS=1\n", "RONDO_GENERATION=1\n"} {
		if !strings.Contains(entry, want) {
			t.Errorf("the entry is %q, want %q in it", entry, want)
		}
	}
	stream, err := j.streams.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := stream.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if identifier, err := bufio.NewReader(stream).ReadString('\n'); identifier != "app/0\n" {
		t.Errorf("the worker's stream is %q, %v, want app/0", identifier, err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestUnderTheJournalTheLastWordsAreAnErrorOfTheApp(t *testing.T) {
	j, h := journalOf(t)
	h.env = append(h.env, "INVOCATION_ID=0123abc")
	h.file("shop.toml", "wokers = 2\n", 0o644)
	for _, row := range []struct{ args, words, identifier string }{
		{"run --name app --workers 1 --backoff 1ms..2ms -- sh -c exit+3", "every worker died 3 times before it was ready; the last one exited with code 3", "app"},
		{"run --config shop.toml", `shop.toml:1: unknown key "wokers": did you mean "workers"?`, "shop"},
		{"reload web", `no rondo "web" is running`, "web"},
		{"reload none/control.sock", "reload: nobody answers on none/control.sock", "rondo"},
		{"run", "run: no command", "rondo"},
	} {
		args := strings.Fields(row.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "+", " ")
		}
		p := j.start(h, args...)
		entry := j.gets(row.words)
		for _, want := range []string{"PRIORITY=3\n", saidAtTheEnd + "\n", saidBy + args[0] + "\n", saidIn + "0123abc\n", "SYSLOG_IDENTIFIER=" + row.identifier + "\n"} {
			if !strings.Contains(entry, want) {
				t.Errorf("the last words of rondo %s are %q, want %q in them", row.args, entry, want)
			}
		}
		p.ends()
		if said, err := os.ReadFile(filepath.Join(h.dir, "stderr")); err != nil || len(said) > 0 {
			t.Errorf("rondo %s wrote %q besides, %v", row.args, said, err)
		}
	}
}
