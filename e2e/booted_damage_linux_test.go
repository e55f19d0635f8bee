//go:build linux && !portable

package e2e

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

// holdingServer answers with its pid; a request for /hold when /srv/app/go is there.
const holdingServer = `const fs = require('fs');
require('http').createServer((req, res) => {
  if (req.url !== '/hold') return res.end(String(process.pid));
  res.write('begun by ' + process.pid + '\n');
  (function again() { fs.existsSync('/srv/app/go') ? res.end('ended') : setTimeout(again, 20); })();
}).listen(3000);
`

// deafServer is holdingServer that the end of its channel does not end before
// /srv/app/go is there.
const deafServer = `const { exit } = process;
process.exit = () => {};
process.on('disconnect', () => setInterval(() => fs.existsSync('/srv/app/go') && exit(), 20));
` + holdingServer

// memory is a memfd of a state that the master of that status has open.
func (h *host) memory(pid int, name string) (files []*os.File) {
	h.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", h.HostPID(pid))
	found, err := os.ReadDir(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range found {
		path := filepath.Join(dir, d.Name())
		if to, err := os.Readlink(path); err != nil || !strings.Contains(to, "memfd:"+name) {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	if len(files) == 0 {
		h.t.Fatalf("master %d has no memory called %s", pid, name)
	}
	return files
}

// part is a byte of a state, as its header tells where it is, and what is flipped in it.
type part struct {
	where func(header []byte) int64
	bits  byte
}

const page = 4096

func at(offset int64) part { return part{func([]byte) int64 { return offset }, 0x55} }

// The offsets of the header, and what is where, are those of internal/state.
func field(header []byte, offset int) int64 {
	return int64(binary.LittleEndian.Uint64(header[offset:]))
}

func up(n int64) int64 { return (n + page - 1) / page * page }

func recordAt(header []byte) int64 { return up(page + 16*field(header, 32)) }

func slotAt(header []byte, slot int64) int64 {
	return recordAt(header) + 8 + slot*(16+field(header, 24))
}

func textOf(slot int64) part {
	return part{func(header []byte) int64 { return slotAt(header, slot) + 16 + 2 }, 0x55}
}

var (
	published = part{recordAt, 0x55}
	received  = part{func(header []byte) int64 { return up(slotAt(header, 2)) + field(header, 64+5*8) }, 0x55}
	dropping  = part{at(64 + 6*8).where, 1}
)

// flip changes bytes of a state that a master has mapped.
func flip(t *testing.T, f *os.File, parts ...part) {
	t.Helper()
	header := make([]byte, page)
	if _, err := f.ReadAt(header, 0); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		var b [1]byte
		offset := p.where(header)
		if _, err := f.ReadAt(b[:], offset); err != nil {
			t.Fatal(err)
		}
		b[0] ^= p.bits
		if _, err := f.WriteAt(b[:], offset); err != nil {
			t.Fatal(err)
		}
	}
}

// held are requests that each worker has begun to answer. The function waits for the
// rest, and gives what has come of each, by the worker's pid.
func (h *host) held() (rest func() map[int]error) {
	h.t.Helper()
	h.Must("rm", "-f", "/srv/app/go")
	all := map[int]io.Reader{}
	for range 2 { // in turn
		in := bufio.NewReader(h.open("127.0.0.1:8080", "/hold"))
		line, err := in.ReadString('\n')
		if err != nil {
			h.t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Sscanf(line, "begun by %d", &pid); err != nil {
			h.t.Fatalf("the answer begins with %q", line)
		}
		all[pid] = in
	}
	if len(all) != 2 {
		h.t.Fatalf("one worker has both requests")
	}
	return func() map[int]error {
		h.t.Helper()
		h.WriteFile("/srv/app/go", 0o644, "")
		outcome := map[int]error{}
		for pid, in := range all {
			b, err := io.ReadAll(in)
			if err == nil && string(b) != "ended" {
				err = fmt.Errorf("it ends in %q", b)
			}
			outcome[pid] = err
		}
		return outcome
	}
}

// open makes a request, and gives the body when the answer has begun.
func (h *host) open(address, path string) io.Reader {
	h.t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.Dial(ctx, "tcp", address) }}}
	r, err := c.Get("http://localhost" + path)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { r.Body.Close() })
	return r.Body
}

// finished waits for requests that were held: none may have been cut.
func (h *host) finished(what string, rest func() map[int]error) {
	h.t.Helper()
	for pid, err := range rest() {
		if err != nil {
			h.t.Errorf("%s: a request in flight in worker %d: %v", what, pid, err)
		}
	}
}

// crash kills the master of that status and waits for the next one.
func (h *host) crash(before master.Status) master.Status {
	h.t.Helper()
	h.Must("kill", "-KILL", strconv.Itoa(before.PID))
	return h.next(before)
}

// replaced tells how many of the workers of before are not there any more.
func replaced(before, after master.Status) (n int) {
	for _, b := range before.Workers {
		if b.State != "ready" {
			continue
		}
		n++
		for _, w := range after.Workers {
			if w.PID == b.PID && w.ID == b.ID && w.State == "ready" {
				n--
			}
		}
	}
	return n
}

// TestDamagedStateCostsWhatItIsOf flips bytes in each kind of memory that a master
// leaves, and in each part of it; one half on each machine when it is no soak.
func TestDamagedStateCostsWhatItIsOf(t *testing.T) {
	half := 0
	onBooted(t, func(t *testing.T, h *host) {
		h.expectCrashes()
		h.Allow("accepted ones lost") // that a worker has answered, of which nothing can be read
		h.program(holdingServer)
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "20s")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		const service, worker = "rondo-state", "rondo-worker"
		for i, damage := range []struct {
			memory string
			parts  []part
			says   []string // by the names in allowed.go
		}{
			{service, []part{at(0)}, []string{"state does not begin as one", "worker not known"}},
			{worker, []part{at(40)}, []string{"worker's header damaged", "worker with a slot not known"}},
			{service, []part{at(8)}, []string{"state of another format", "worker not known"}},
			{worker, []part{textOf(0), textOf(1)}, []string{"worker's record damaged", "worker with a slot not known"}},
			{service, []part{at(24)}, []string{"state's header damaged", "worker not known"}},
			{worker, []part{published}, []string{"worker of no slot", "worker with a slot not known"}},
			{service, []part{textOf(0), textOf(1)}, []string{"state's record damaged", "worker not known"}},
			{worker, []part{at(64 + 7)}, []string{"worker's numbers damaged", "worker with a slot not known"}},
			{worker, []part{received}, []string{"worker's line damaged"}},
			{service, []part{published}, []string{"state of no slot", "worker not known"}},
			{worker, []part{dropping}, []string{"worker's line dropped"}},
			{service, []part{at(64)}, []string{"state of failed starts", "worker not known"}},
			{worker, []part{at(page), at(page + 8)}, nil},
		} {
			if !soak && i%2 != half {
				continue
			}
			what := fmt.Sprintf("damage %d (%s)", i, damage.memory)
			costs := min(1, max(0, len(damage.says)-1)) // workers
			if damage.memory == service {
				costs = 2
			}
			for _, name := range damage.says {
				h.Expect(name)
			}
			before := h.whole(what)
			rest := h.held()
			flip(t, h.memory(before.PID, damage.memory)[0], damage.parts...)
			h.crash(before)
			after := h.ready(what)
			if n := replaced(before, after); n != costs {
				t.Errorf("%s: %d workers were replaced, want %d", what, n, costs)
			}
			if (after.Adopted == 0) != (damage.memory == service) || (after.Refused == nil) != (costs == 0) {
				t.Errorf("%s: adopted %d times, refused %v", what, after.Adopted, after.Refused)
			}
			h.finished(what, rest)
			h.answered(after)
		}
		half = 1 - half
	})
}

// ready waits until two workers are ready, and no reload goes on.
func (h *host) ready(when string) master.Status {
	h.t.Helper()
	return h.allReady(when, 2)
}

func (h *host) allReady(when string, n int) master.Status {
	h.t.Helper()
	for limit := time.Now().Add(patience); ; {
		st := h.status()
		workers := 0
		for _, w := range st.Workers {
			if w.State == "ready" && w.Generation == st.Generation {
				workers++
			}
		}
		if workers == n && st.State == "ready" {
			return st
		}
		if time.Now().After(limit) {
			h.t.Fatalf("%s: the status stays %+v", when, st)
		}
	}
}

// answered waits until each ready worker of that status has answered.
func (h *host) answered(st master.Status) {
	h.t.Helper()
	silent := map[string]bool{}
	for _, w := range st.Workers {
		silent[strconv.Itoa(w.PID)] = w.State == "ready"
	}
	for limit := time.Now().Add(patience); ; {
		silent[h.get("tcp", "127.0.0.1:8080")] = false
		if !slices.Contains(slices.Collect(maps.Values(silent)), true) {
			return
		}
		if time.Now().After(limit) {
			h.t.Fatalf("ready workers that get no connection: %v", silent)
		}
	}
}

// withStore has the service start anew with a drop-in for its store.
func (h *host) withStore(lines string) master.Status {
	h.t.Helper()
	h.Must("systemctl", "stop", "app.service")
	h.WriteFile(storeDropIn, 0o644, "[Service]\n"+lines+"\n")
	h.Must("systemctl", "daemon-reload")
	h.get("tcp", "127.0.0.1:8080")
	h.started()
	return h.whole(lines)
}

const storeDropIn = "/etc/systemd/system/app.service.d/store.conf"

// TestStoreThatIsTooSmallIsToldAndMended: what is not kept ends with the master.
func TestStoreThatIsTooSmallIsToldAndMended(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		old := h.Must("uname", "--nodename") == string(machine.Bookworm) // whose systemd tells no size
		h.expectCrashes()
		for _, name := range []string{"store too small", "worker's state not stored", "worker with a slot not known", "not kept worker gone", "systemd's store full", "restart drains"} {
			h.Expect(name)
		}
		h.program(holdingServer)
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "20s")
		before := h.withStore("FileDescriptorStoreMax=3")
		rest := h.held()
		h.crash(before)
		after := h.ready("3 stored")
		if n := replaced(before, after); n != 2 || after.Adopted != 1 || after.Refused == nil {
			t.Errorf("with a store for 3: %d workers were replaced; status %+v", n, after)
		}
		for pid, err := range rest() {
			kept := slices.ContainsFunc(after.Workers, func(w master.Worker) bool { return w.PID == pid })
			if kept != (err == nil) {
				t.Errorf("with a store for 3: worker %d is kept: %v, and what was in flight in it: %v", pid, kept, err)
			}
		}
		h.answered(h.whole("3 stored"))
		says(t, h.doctor(), "app.service could not take over all that the last master left: the state of a worker is refused: it is not in the store")

		// A restart waits for what is in flight, which the next master could not have.
		rest = h.held()
		restart := h.Start(machine.Command{Args: []string{"systemctl", "restart", "app.service"}})
		h.Await("app.service", func(p map[string]string) bool { return p["ActiveState"] == "deactivating" }, "ActiveState")
		h.finished("a restart", rest)
		if err := restart.Wait(); err != nil {
			t.Error(err)
		}

		// Without any store.
		h.Expect("no store")
		h.Expect("restart without a store drains")
		h.Expect("two of an earlier run")
		h.program(deafServer)
		h.Must("rm", "/srv/app/go")
		before = h.withStore("FileDescriptorStoreMax=0" + map[bool]string{true: "\nUnsetEnvironment=FDSTORE"}[old])
		h.crash(before)
		after = h.ready("none stored")
		if n := replaced(before, after); n != 2 || after.Adopted != 0 {
			t.Errorf("without a store: %d workers were replaced; status %+v", n, after)
		}
		h.answered(after)
		h.alone("without a store", after)
		h.Must("touch", "/srv/app/go")
		h.program(holdingServer)

		h.mended("s/StoreMax=.*/StoreMax=37/", `app\.service may keep 0 descriptors, by `+storeDropIn+`, and needs 37 for its workers to outlive a master that is killed: FileDescriptorStoreMax=37`)
		before = h.whole("mended")
		rest = h.held()
		h.crash(before)
		after = h.ready("37 stored")
		if n := replaced(before, after); n != 0 || after.Adopted != 1 {
			t.Errorf("with a store for 37: %d workers were replaced; status %+v", n, after)
		}
		h.finished("37 stored", rest)

		// Full: 12 workers have 36 descriptors, and the state is one.
		h.Expect("store full")
		if out, err := h.rondo("scale", "app", "13"); err != nil {
			t.Fatal(out, err)
		}
		before = h.allReady("scaled", 13)
		h.crash(before)
		after = h.allReady("full", 13)
		if n := replaced(before, after); n != 1 || after.Adopted != 2 || after.Refused != nil {
			t.Errorf("with a full store: %d workers were replaced; status %+v", n, after)
		}

		// And not full any more: the next restart keeps its workers.
		if out, err := h.rondo("scale", "app", "2"); err != nil {
			t.Fatal(out, err)
		}
		before = h.whole("scaled back")
		rest = h.held()
		h.Must("systemctl", "restart", "app.service")
		if after = h.status(); after.Adopted != before.Adopted+1 {
			t.Fatalf("a restart with room in the store again: adopted %d times, before %d", after.Adopted, before.Adopted)
		}
		h.finished("a restart with room in the store again", rest)
		h.rolled(before.Generation + 1)
	})
}

// alone fails the test unless the service has no processes but those of that status.
func (h *host) alone(when string, st master.Status) {
	h.t.Helper()
	known := []int{st.PID}
	for _, w := range st.Workers {
		known = append(known, w.PID)
	}
	var found []int
	for _, p := range h.Left("app.service") {
		found = append(found, p.PID)
	}
	slices.Sort(known)
	slices.Sort(found)
	if !slices.Equal(found, known) {
		h.t.Errorf("%s: the service has the processes %v, want the master and its workers, %v:\n%s", when, found, known, h.Must("ps", "-eo", "pid,ppid,stat,args"))
	}
}

func TestDoctorFindsWhatIsLeftInAService(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(holdingServer)
		h.install("--listen", "8080=3000", "--workers", "2")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		h.finds()
		const left = `in app\.service runs what is no worker's: sleep \(\d+\)`
		intrude := func() *machine.Background {
			p := h.Start(machine.Command{Args: []string{"sh", "-c", "echo $$ >/sys/fs/cgroup/system.slice/app.service/cgroup.procs && echo there; exec sleep infinity"}})
			p.Line(func(line string) bool { return line == "there" })
			return p
		}
		p := intrude()
		h.mended("", left)
		if err := p.Wait(); err == nil {
			t.Error("it has ended by itself")
		}

		// A service that has stopped, and whose ExecStopPost= could not end it.
		h.WriteFile("/etc/systemd/system/app.service.d/sweep.conf", 0o644, "[Service]\nExecStopPost=\n")
		h.Must("systemctl", "daemon-reload")
		p = intrude()
		h.Must("systemctl", "stop", "app.service")
		h.mended("", left)
		if err := p.Wait(); err == nil {
			t.Error("it has ended by itself")
		}
	})
}
