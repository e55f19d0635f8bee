package side

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// testHost has no programs.
func testHost(t *testing.T) *Host { return &Host{Dir: t.TempDir()} }

// say is a side of a shell script that prints "ready" when it is.
func say(t *testing.T, script string) (*Running, *process) {
	t.Helper()
	r, err := testHost(t).newRunning()
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.launch(command{args: []string{"sh", "-c", script}, env: environ(), line: "ready"})
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

func TestAStopLeavesNothing(t *testing.T) {
	r, p := say(t, "sleep 3600 & echo ready; trap 'kill $!; exit' TERM; wait")
	if err := p.await(t.Context(), p.said); err != nil {
		t.Fatal(err)
	}
	if pids, err := r.Pids(); err != nil || len(pids) != 2 {
		t.Errorf("Pids = %v, %v, want two", pids, err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("the directory: %v", err)
	}
}

func TestWhatIsLeftOverIsKilledAndTold(t *testing.T) {
	r, p := say(t, "setsid sleep 3600 >/dev/null 2>&1 & echo ready $!; read x")
	if err := p.await(t.Context(), p.said); err != nil {
		t.Fatal(err)
	}
	left, err := strconv.Atoi(strings.TrimPrefix(p.out.String(), "ready "))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(left, 0)
	if err != nil {
		t.Fatal(err)
	}
	again, err := unix.PidfdOpen(left, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(again)
	<-p.ended // it had no input
	if err := p.stop(); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("stop of what has ended: %v", err)
	}
	if err := awaitEnd(left, fd, 0); err == nil || !strings.Contains(err.Error(), "left over") {
		t.Errorf("awaitEnd = %v", err)
	}
	if !ended(again, 0) {
		t.Error("it was not killed")
	}
	r.Stop()
}

func TestAProgramThatEndsEarlyShowsItsOutput(t *testing.T) {
	r, p := say(t, "echo no such port; exit 3")
	err := p.await(t.Context(), p.said)
	if err == nil || !strings.Contains(err.Error(), "no such port") || !strings.Contains(err.Error(), "3") {
		t.Errorf("await = %v", err)
	}
	if err := r.Stop(); err != nil {
		t.Errorf("Stop tells it again: %v", err)
	}
}

func TestAPolicyIsSetInAllThreads(t *testing.T) {
	for _, p := range []Policy{Batch, Other} {
		if err := p.set(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		dirs, _ := os.ReadDir("/proc/self/task")
		for _, dir := range dirs {
			id, _ := strconv.Atoi(dir.Name())
			attr, err := unix.SchedGetAttr(id, 0)
			if err == unix.ESRCH {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if batch := attr.Policy == unix.SCHED_BATCH; batch != (p == Batch) {
				t.Errorf("%s: thread %d has policy %d", p, id, attr.Policy)
			}
		}
	}
}

func TestFreeAddress(t *testing.T) {
	a, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a, "127.0.0.1:") {
		t.Errorf("freeAddress = %s", a)
	}
	addresses, files, err := sockets(3)
	defer closeAll(files)
	if err != nil || len(addresses) != 3 || len(files) != 3 {
		t.Errorf("sockets = %v, %v, %v", addresses, files, err)
	}
}

func TestReadyIsTheManagersMessage(t *testing.T) {
	r, err := testHost(t).newRunning()
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.notified()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	to := &unix.SockaddrUnix{Name: s.path}
	if err := unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(pipe[1]), to, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(pipe[1])
	if n, err := unix.Read(pipe[0], make([]byte, 1)); n != 0 || err != nil { // until all have closed it
		t.Errorf("read = %d, %v", n, err)
	}
	select {
	case <-s.ready:
		t.Error("ready by a barrier")
	default:
	}
	if err := unix.Sendmsg(fd, []byte("STATUS=2/2 ready\nREADY=1"), nil, to, 0); err != nil {
		t.Fatal(err)
	}
	<-s.ready
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
