package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

const (
	heldBound   = 16 << 20        // of memory that a rogue may make the master hold
	peakBound   = 64 << 20        // of memory that it may make the master take, for a moment
	logBound    = 24              // warnings about a rogue
	lineBound   = 4 << 10         // bytes of one of them
	outputBound = 17 << 10        // bytes that are written at once of what a worker writes
	pauseBound  = 5 * time.Second // without any answer: the machine is shared, a starved loop takes longer
	spareFDs    = 64              // of the clients, and of what is under way
)

// TestHostileWorkerHarmsNobody has the worker of one slot misbehave while two good ones
// serve: nothing is lost, the master's memory, descriptors and log stay bounded, the
// log says who it was and what it did, and the service drains.
func TestHostileWorkerHarmsNobody(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(behaviours)) {
		if behaviours[name].apart {
			continue
		}
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) { behaviours[name].test(t, name) })
	}
}

func (b behaviour) test(t *testing.T, name string) {
	st := newStage(t, name)
	cfg := master.Config{Settings: quick(goCommand(t), 3), Logger: st.log.logger()}
	cfg.Stdout = &lineWriter{t: t}
	cfg.Stderr = cfg.Stdout
	if b.adjust != nil {
		b.adjust(&cfg.Settings)
	}
	s := start(t, cfg, roleVar+"=hostile", "TEST_STAGE="+st.ln.Addr().String(), "TEST_DIR="+st.dir)
	st.service = s
	stops := []func() ledger.Report{
		s.load(ledger.Config{Clients: 3, Mode: ledger.PerRequest, Think: 4 * time.Millisecond, Seed: seed, Answered: st.answered}),
		s.load(ledger.Config{Clients: 2, Mode: ledger.Kept, Think: 8 * time.Millisecond, Seed: seed + 1, Answered: st.answered}),
	}
	st.answers(20)
	before := takeUsage()
	st.cue("act")
	if b.with != nil {
		b.with(st)
	}
	most := st.watch(before)
	if b.after != nil {
		b.after(st)
	}
	st.answers(100)
	st.log.await(b.log)
	used := takeUsage()
	for _, stop := range stops {
		r := stop()
		if err := r.Check(); err != nil {
			t.Errorf("%v\n%s", err, r)
		}
	}
	st.quiet()
	if held := used.heap - before.heap; held > heldBound {
		t.Errorf("the master holds %d KiB more, want at most %d", held>>10, heldBound>>10)
	}
	if peak := used.taken - before.taken; peak > peakBound {
		t.Errorf("the master took %d KiB more, want at most %d", peak>>10, peakBound>>10)
	}
	if more := max(most, used.descriptors) - before.descriptors; more > b.fds+spareFDs {
		t.Errorf("the master had %d more descriptors, want at most %d", more, b.fds+spareFDs)
	}
	st.log.check(t, b.log)
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	st.end()
	told(t, "heap %+d KiB, taken %+d KiB, descriptors %+d, longest pause %v, %d warnings", (used.heap-before.heap)>>10,
		(used.taken-before.taken)>>10, max(most, used.descriptors)-before.descriptors, st.pause().Round(time.Millisecond), len(st.log.warnings()))
}

// lineWriter takes what workers write, and shows it but for the rogue's.
type lineWriter struct{ t *testing.T }

func (w *lineWriter) Write(line []byte) (int, error) {
	switch {
	case len(line) > outputBound || line[len(line)-1] != '\n' || line[0] != '[':
		w.t.Errorf("the master writes %d bytes at once, want a prefixed line of at most %d: %.80q", len(line), outputBound, line)
	case !bytes.HasPrefix(line, []byte("[0] ")):
		w.t.Output().Write(line)
	}
	return len(line), nil
}

// usage is what this process, master and clients, has in use.
type usage struct{ heap, taken, descriptors int }

func takeUsage() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{heap: int(m.HeapInuse), taken: int(m.HeapSys), descriptors: countDescriptors()}
}

func countDescriptors() int {
	links, _ := filepath.Glob("/proc/self/fd/*")
	return len(links)
}

// stage is where a test and the rogues it has started meet.
type stage struct {
	t       *testing.T
	ln      net.Listener
	dir     string
	name    string // of the behaviour
	log     *logbook
	service *service

	mu     sync.Mutex // guards the fields below
	first  net.Conn
	said   map[string]int
	news   chan struct{} // closed and replaced at each change
	last   time.Time     // of an answer
	paused time.Duration

	total atomic.Int64 // answers
}

func newStage(t *testing.T, name string) *stage {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "e2e") // t.TempDir's names are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{t: t, ln: ln, dir: dir, name: name, log: newLogbook(t), said: map[string]int{}, news: make(chan struct{})}
	var rogues sync.WaitGroup
	rogues.Go(func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			rogues.Go(func() { st.hear(c) }) // ends with the worker
		}
	})
	t.Cleanup(func() {
		ln.Close()
		if st.first != nil {
			st.first.Close()
		}
		rogues.Wait()
		os.RemoveAll(dir)
	})
	return st
}

// hear tells a worker of the slot what to be, and notes what it says.
func (st *stage) hear(c net.Conn) {
	defer c.Close()
	b := behaviours[st.name]
	st.mu.Lock()
	first := st.first == nil
	if first {
		st.first = c
	}
	st.mu.Unlock()
	switch {
	case first:
		fmt.Fprintf(c, "%s\nlisten\n", st.name)
	case b.all:
		fmt.Fprintf(c, "%s\nlisten\nact\n", st.name)
	case b.unready:
		fmt.Fprintf(c, "%s\nact\n", st.name)
	default:
		fmt.Fprintln(c, "behave")
		return
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "bad") {
			st.t.Errorf("the rogue says: %s", lines.Text())
		}
		st.note(lines.Text())
	}
	st.note("gone")
}

func (st *stage) note(what string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.said[what]++
	st.changed()
}

// changed wakes who waits; st.mu is held.
func (st *stage) changed() {
	close(st.news)
	st.news = make(chan struct{})
}

// count is how often rogues have said what.
func (st *stage) count(what string) int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.said[what]
}

// cue says a line to the first rogue.
func (st *stage) cue(line string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	fmt.Fprintln(st.first, line)
}

// until waits for a change after which is holds; st.mu is held while is runs.
func (st *stage) until(what string, is func() bool) {
	st.t.Helper()
	limit := time.After(patience)
	for {
		st.mu.Lock()
		ok, news := is(), st.news
		st.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-limit:
			st.t.Fatalf("never %s; status %+v", what, st.service.status())
		}
	}
}

// end waits for the end of the rogue, and of what it left behind and could not be
// found by the master, which waits for the stage to close.
func (st *stage) end() {
	st.t.Helper()
	if behaviours[st.name].orphan {
		st.mu.Lock()
		st.first.Close()
		st.mu.Unlock()
	}
	st.await("gone", 1)
}

// await waits until rogues have said what n times in all.
func (st *stage) await(what string, n int) {
	st.t.Helper()
	st.until(fmt.Sprintf("%q, %d times", what, n), func() bool { return st.said[what] >= n })
}

// answered is told of each answer of the service.
func (st *stage) answered(ledger.Who) {
	st.total.Add(1)
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	if !st.last.IsZero() {
		st.paused = max(st.paused, now.Sub(st.last))
	}
	st.last = now
	st.changed()
}

// answers waits for n more answers.
func (st *stage) answers(n int64) {
	st.t.Helper()
	goal := st.total.Load() + n
	st.until("answered", func() bool { return st.total.Load() >= goal })
}

func (st *stage) pause() time.Duration {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.paused
}

// quiet ends the load and judges how long it was without an answer.
func (st *stage) quiet() {
	if p := st.pause(); p > pauseBound {
		st.t.Errorf("no answer for %v, want at most %v", p, pauseBound)
	}
}

// watch counts the descriptors of the master until a rogue has done its worst.
func (st *stage) watch(before usage) (most int) {
	st.until("done", func() bool {
		most = max(most, countDescriptors())
		return st.said["did"]+st.said["gone"] > 0
	})
	return most
}

// holds waits until the rogue is told of as not answering, and looks at what it holds.
func (st *stage) holds() {
	st.t.Helper()
	st.service.until("at its window", func(s master.Status) bool {
		for _, w := range s.Workers {
			if w.Slot == 0 && w.InFlight > 0 {
				return true
			}
		}
		return false
	})
	st.log.await("does not answer")
	st.answers(100)
	for _, w := range st.service.status().Workers {
		if w.InFlight > 2 {
			st.t.Errorf("worker %d holds up %d connections, want at most its window of 2", w.ID, w.InFlight)
		}
	}
}

// logbook keeps the warnings of a master.
type logbook struct {
	t  *testing.T
	mu sync.Mutex // guards lines
	// of level warning and above
	lines []string
	news  chan struct{} // has a place for one
}

func newLogbook(t *testing.T) *logbook { return &logbook{t: t, news: make(chan struct{}, 1)} }

func (b *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func (b *logbook) Write(line []byte) (int, error) {
	short := line[:min(len(line), 500)]
	if !bytes.Contains(line, []byte("level=INFO")) {
		b.mu.Lock()
		b.lines = append(b.lines, string(line))
		b.mu.Unlock()
		select {
		case b.news <- struct{}{}:
		default:
		}
	}
	b.t.Output().Write(append(bytes.TrimSpace(short), '\n'))
	return len(line), nil
}

func (b *logbook) warnings() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

// await waits for a warning that says what.
func (b *logbook) await(what string) {
	b.t.Helper()
	limit := time.After(patience)
	for what != "" && !slices.ContainsFunc(b.warnings(), func(line string) bool { return strings.Contains(line, what) }) {
		select {
		case <-b.news:
		case <-limit:
			b.t.Errorf("the log never says %q", what)
			return
		}
	}
}

// check wants warnings that name the worker of slot 0 and say what, in a few lines.
func (b *logbook) check(t *testing.T, what string) {
	t.Helper()
	lines := b.warnings()
	named := 0
	for _, line := range lines {
		if strings.Contains(line, what) && strings.Contains(line, "slot=0") && strings.Contains(line, "pid=") {
			named++
		}
		if len(line) > lineBound {
			t.Errorf("a warning has %d bytes, want at most %d: %.200s", len(line), lineBound, line)
		}
	}
	if what != "" && named == 0 {
		t.Errorf("no warning names the worker and says %q:\n%s", what, strings.Join(lines, ""))
	}
	if len(lines) > logBound {
		t.Errorf("%d warnings, want at most %d", len(lines), logBound)
	}
}
