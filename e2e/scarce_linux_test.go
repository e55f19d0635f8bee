package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
	pid, address, stop := runMaster(t, log, "go", nil)
	s := &service{t: t, address: address}
	if r := <-s.requests(ledger.Config{Clients: 8, Requests: 5, Seed: seed}); r.Check() != nil {
		t.Fatalf("before: %s", r)
	}
	free := firstFree(t, pid)
	was := limitDescriptors(t, pid, free)
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

	limitDescriptors(t, pid, free+1) // one connection at a time
	r := <-waiting
	if err := r.Check(); err != nil {
		t.Errorf("%v\n%s", err, r)
	}
	limitDescriptors(t, pid, was)
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

// TestDescriptorsUnderWayOfOneWorkerOnlyDelay has a worker send itself more descriptors
// than the kernel lets the user of the service have under way. Nothing can be handed over
// meanwhile, which the log says once; then all that waited are answered.
func TestDescriptorsUnderWayOfOneWorkerOnlyDelay(t *testing.T) {
	const name = "descriptors under way"
	st := newStage(t, name)
	before := takeCensus()
	_, address, stop := runMaster(t, st.log, "hostile", asNobody(t), "TEST_STAGE="+st.ln.Addr().String(), "TEST_NOFILE=100")
	s := &service{t: t, address: address}
	st.cue("act")
	st.await("did", 1)
	waiting := s.requests(ledger.Config{Clients: 20, Requests: 1, Seed: seed})
	st.log.await("too many references")
	st.cue("on")
	if r := <-waiting; r.Check() != nil {
		t.Errorf("%v\n%s", r.Check(), r)
	}
	stop()
	if n := strings.Count(strings.Join(st.log.warnings(), ""), "too many references"); n != 1 {
		t.Errorf("it says %d times that descriptors are under way, want once: %q", n, st.log.warnings())
	}
	st.end()
	before.compare(t)
}

// asNobody has a program run as a user without rights, whom limits bind. It needs to
// be root for that; else it is the user that the tests run as.
func asNobody(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "e2e.test")
	b, err := os.ReadFile(goCommand(t)[0])
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(program, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(c *exec.Cmd) {
		c.Path, c.Dir = program, "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

// limitDescriptors sets the limit of pid and gives the one before.
func limitDescriptors(t *testing.T, pid int, n uint64) uint64 {
	t.Helper()
	var was unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was)
	if err == nil {
		err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return was.Cur
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
