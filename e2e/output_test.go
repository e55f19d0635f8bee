package e2e

import (
	"bufio"
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rondokit/rondo/master"
)

// lockedBuffer is a bytes.Buffer for several goroutines, with an event for each write.
type lockedBuffer struct {
	sync.Mutex // guards Buffer
	bytes.Buffer
	wrote chan struct{}
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	n, err := b.Buffer.Write(p)
	select {
	case b.wrote <- struct{}{}:
	default:
	}
	return n, err
}

// until waits until the buffer holds all of words.
func (b *lockedBuffer) until(t *testing.T, words ...string) {
	t.Helper()
	limit := time.After(patience)
	for {
		b.Lock()
		text := b.String()
		b.Unlock()
		missing := ""
		for _, w := range words {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-b.wrote:
		case <-limit:
			t.Fatalf("never wrote %q; wrote %q", missing, text)
		}
	}
}

func TestOutputOfEachWorkerIsPrefixedWithItsSlot(t *testing.T) {
	out, log := &lockedBuffer{wrote: make(chan struct{}, 1)}, &lockedBuffer{wrote: make(chan struct{}, 1)}
	cfg := master.Config{Settings: quick(as(t, "talker"), 2), Stdout: out, Stderr: out,
		Logger: slog.New(slog.NewTextHandler(log, nil))}
	start(t, cfg)
	out.until(t, "[0] out of slot 0\n", "[1] out of slot 1\n", "[0] err of slot 0\n", "[1] err of slot 1\n",
		"[0] "+strings.Repeat("x", 40_000)[:16<<10]+"\n", "no newline at the end")
}

// TestUnderTheJournalEachWorkerHasAStreamOfItsOwn runs against a socket that takes the
// streams as journald does.
func TestUnderTheJournalEachWorkerHasAStreamOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	streams := make(chan []string, 2)
	var taken sync.WaitGroup
	for range 2 {
		taken.Go(func() { // ends when both workers have
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			var lines []string
			in := bufio.NewScanner(c)
			in.Buffer(nil, 1<<20)
			for in.Scan() {
				lines = append(lines, in.Text())
			}
			streams <- lines
		})
	}
	before := takeCensus()
	s := start(t, master.Config{Settings: quick(as(t, "talker"), 2), Journal: path})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	taken.Wait()
	ln.Close()
	before.compare(t)
	seen := map[string]bool{}
	for range 2 {
		lines := <-streams
		if len(lines) < 7 {
			t.Fatalf("a stream of %d lines, want a header of 7: %q", len(lines), lines)
		}
		name, slot, _ := strings.Cut(lines[0], "/")
		if name != "app" || strings.Join(lines[1:7], "|") != "|6|1|0|0|0" {
			t.Errorf("header %q, want app/SLOT, no unit, priority 6, level prefix, nothing forwarded", lines[:7])
		}
		rest := strings.Join(lines[7:], "\n")
		for _, want := range []string{"out of slot " + slot, "err of slot " + slot, "JOURNAL_STREAM is right"} {
			if !strings.Contains(rest, want) {
				t.Errorf("stream of slot %s has no %q: %q", slot, want, rest)
			}
		}
		seen[slot] = true
	}
	if !seen["0"] || !seen["1"] {
		t.Errorf("streams of slots %v, want 0 and 1", seen)
	}
}
