package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"golang.org/x/sys/unix"
)

// TestMasterWithoutDescriptorsWaitsForThem takes from a master under load every
// descriptor that it could open: it pauses, says so once, uses little of the processor,
// and when there is one again, all that waited are answered.
func TestMasterWithoutDescriptorsWaitsForThem(t *testing.T) {
	before := takeCensus()
	log := newLogbook(t)
	pid, address, stop := runMaster(t, log)
	s := &service{t: t, address: address}
	if r := <-s.requests(ledger.Config{Clients: 8, Requests: 5, Seed: seed}); r.Check() != nil {
		t.Fatalf("before: %s", r)
	}
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	few := was
	few.Cur = firstFree(t, pid)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	waiting := s.requests(ledger.Config{Clients: 20, Requests: 1, Seed: seed + 1})
	log.await("accepting paused")

	const pause = 1500 * time.Millisecond
	used := processorTime(t, pid)
	<-time.After(pause) // what is measured, and no wait for anything
	if used = processorTime(t, pid) - used; used > pause*3/10 {
		t.Errorf("the master used %v of the processor in %v without descriptors, want at most 30%%", used, pause)
	}
	select {
	case r := <-waiting:
		t.Errorf("without descriptors: %s", r)
	default:
	}

	few.Cur++ // one connection at a time
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	r := <-waiting
	if err := r.Check(); err != nil {
		t.Errorf("%v\n%s", err, r)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	if after := <-s.requests(ledger.Config{Clients: 8, Requests: 5, Seed: seed + 2}); after.Check() != nil {
		t.Errorf("after: %s", after)
	}
	stop()
	if n := strings.Count(strings.Join(log.warnings(), ""), "accepting paused"); n != 1 {
		t.Errorf("it says %d times that accepting is paused, want once: %q", n, log.warnings())
	}
	before.compare(t)
	told(t, "%v of the processor in %v, slowest of those that waited %v", used, pause, r.Latency.Max.Round(time.Millisecond))
}

// firstFree is the lowest descriptor that pid could open next.
func firstFree(t *testing.T, pid int) uint64 {
	t.Helper()
	for fd := uint64(0); ; fd++ {
		_, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "fd", strconv.FormatUint(fd, 10)))
		if os.IsNotExist(err) {
			return fd
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// processorTime is what pid has used: user and system time, in proc_pid_stat(5)'s
// ticks of 10 ms.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	col := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(col[11])
	system, _ := strconv.Atoi(col[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
