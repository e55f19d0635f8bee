package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
)

func (h *home) status() master.Status {
	h.t.Helper()
	r := h.rondo("status", "app", "--json")
	var s master.Status
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || r.code != 0 {
		h.t.Fatalf("rondo status app --json = %d %q %q: %v", r.code, r.stdout, r.stderr, err)
	}
	return s
}

func TestAServiceIsServedShownReloadedScaledAndStopped(t *testing.T) {
	h := newHome(t)
	p := h.service()
	one, two, three := h.get(), h.get(), h.get()
	if one == two || one != three || !strings.Contains(one, "generation 1") {
		t.Errorf("three connections were answered by %q, %q, %q, want two workers of generation 1 in turn", one, two, three)
	}
	s := h.status()
	if s.Name != "app" || s.PID != p.cmd.Process.Pid || len(s.Workers) != 2 || s.Counters.HandedOver != 3 {
		t.Errorf("status = %+v, want app with 2 workers and 3 connections", s)
	}
	if r := h.rondo("status"); r.code != 0 || !strings.HasPrefix(r.stdout, "app: ready, generation 1, 2 workers ready, pid "+strconv.Itoa(s.PID)) {
		t.Errorf("rondo status = %d %q %q", r.code, r.stdout, r.stderr)
	}
	if r := h.rondo("reload", "app"); r.code != 0 || !strings.HasPrefix(r.stdout, "app: generation 2 serves with 2 workers") || r.stderr != "" {
		t.Errorf("rondo reload app = %d %q %q", r.code, r.stdout, r.stderr)
	}
	if got := h.get(); !strings.Contains(got, "generation 2") {
		t.Errorf("after a reload %q answered, want generation 2", got)
	}
	if r := h.rondo("scale", "3"); r.code != 0 || r.stdout+r.stderr != "" {
		t.Errorf("rondo scale 3 = %d %q %q", r.code, r.stdout, r.stderr)
	}
	if s := h.status(); s.ScaledFrom == nil || *s.ScaledFrom != 2 {
		t.Errorf("scaled_from = %v, want 2", s.ScaledFrom)
	}
	if r := h.rondo("send", "app", "0", `{"log":"debug"}`); r.code != 0 || r.stdout+r.stderr != "" {
		t.Errorf("rondo send app 0 = %d %q %q", r.code, r.stdout, r.stderr)
	}
	h.fails(1, "send: there is no slot 7: they are 0 to 2", "send", "app", "7", "1")
	if r := h.rondo("stop", "app"); r.code != 0 {
		t.Errorf("rondo stop app = %d %q", r.code, r.stderr)
	}
	if code := p.ends(); code != 0 {
		t.Errorf("a stopped rondo ended with %d, want 0", code)
	}
	h.fails(1, `no rondo "app" is running`, "status", "app")
}

func TestSIGTERMAndSIGINTDrain(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := newHome(t).service()
		p.signal(sig)
		if code := p.ends(); code != 0 {
			t.Errorf("%v: exit code %d, want 0", sig, code)
		}
	}
}

func TestASecondSIGINTEndsNow(t *testing.T) {
	h := newHome(t)
	p := h.service("--drain-timeout", "1h")
	conn, err := net.Dial("unix", h.web())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the worker has it
		t.Fatal(err)
	}
	p.signal(syscall.SIGINT)
	p.says("worker drains")
	p.signal(syscall.SIGINT)
	if code := p.ends(); code != 1 || !strings.Contains(p.stderr.String(), "rondo: interrupted a second time") {
		t.Errorf("exit code %d, want 1 and why", code)
	}
}

func TestTwoMastersOfOneName(t *testing.T) {
	h := newHome(t)
	p := h.service()
	h.fails(1, `rondo "app" is already running (pid `+strconv.Itoa(p.cmd.Process.Pid)+`)`, "run", "--name", "app", "--", binary, "demo-worker")
	p.signal(syscall.SIGKILL)
	p.ends()
	if err := os.Remove(h.web()); err != nil {
		t.Fatal(err)
	}
	h.service().signal(syscall.SIGTERM) // in the place of the dead one
}

func TestAReloadReadsTheFileAgain(t *testing.T) {
	h := newHome(t)
	command := fmt.Sprintf("command = [%q, \"demo-worker\"]\n", binary)
	listen := fmt.Sprintf("listen = [%q]\n", "unix:"+h.web()+"=3000")
	file := h.file("app.toml", command+listen+"workers = 1\n", 0o644)
	p := h.start("run", "--name", "app", "--config", file)
	p.says("msg=serving")

	h.file("app.toml", command+listen+"workers = 2\nbackoff = \"1s..2s\"\n", 0o644)
	if r := h.rondo("reload", "app"); r.code != 0 || len(h.status().Workers) < 2 {
		t.Errorf("a reload with one more worker = %d %q; %d workers", r.code, r.stderr, len(h.status().Workers))
	}
	for text, want := range map[string]string{
		command + listen + "wokers = 2\n":                              "app.toml:3: unknown key \"wokers\": did you mean \"workers\"?",
		command + "listen = [\"1\"]\n":                                 "listen cannot change while it runs",
		"command = [\"nowhere-to-be-found\"]\n" + listen:               "\"nowhere-to-be-found\" was not found in PATH",
		"command = [\"sh\", \"-c\", \"echo gone; exit 7\"]\n" + listen: "exited with code 7",
	} {
		h.file("app.toml", text, 0o644)
		h.fails(1, want, "reload", "app")
		if got := h.get(); !strings.Contains(got, "generation") {
			t.Errorf("after a failed reload: %q", got)
		}
	}
	h.file("app.toml", command+listen, 0o644)
	p.signal(syscall.SIGHUP)
	p.repeats(`msg="reload done"`, 2)
	p.signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestABrokenProgramEndsTheFirstStartWithItsLastLines(t *testing.T) {
	h := newHome(t)
	r := h.rondo("run", "--backoff", "1ms..2ms", "--workers", "1", "--", "sh", "-c", "echo the database is gone >&2; exit 3")
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	last := lines[len(lines)-1]
	if r.code != 1 || !strings.HasPrefix(last, "rondo: ") || !strings.Contains(last, "the database is gone") || !strings.Contains(last, "code 3") {
		t.Errorf("rondo run of a broken program = %d, last line %q, want 1 and why", r.code, last)
	}
}

func TestAPortThatIsTakenIsToldWithItsOwner(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := newHome(t)
	owner := ""
	if sys.PortHolderPID("tcp", l.Addr().(*net.TCPAddr).Port) != 0 { // where the system tells
		owner = "pid " + strconv.Itoa(os.Getpid())
	}
	for _, args := range [][]string{
		{"demo", "--listen", l.Addr().String()},
		{"run", "--listen", l.Addr().String() + "=3000", "--", binary, "demo-worker"},
	} {
		h.fails(1, "address already in use", args...)
		h.fails(1, owner, args...)
	}
}

func TestTheDemoSaysWhatToTry(t *testing.T) {
	h := newHome(t)
	h.env = append(h.env, role("rondo"))
	p := h.start("demo", "--listen", "unix:"+h.web())
	p.stdout.await(t, p.exited, "Stop with Ctrl-C.", 1)
	if text := p.stdout.String(); !strings.Contains(text, "curl --unix-socket "+h.web()) || !strings.Contains(text, "rondo reload demo") {
		t.Errorf("the demo says %q", text)
	}
	if one, two := h.get(), h.get(); one == two || !strings.HasPrefix(one, "hello from worker ") {
		t.Errorf("the demo answers %q and %q, want two workers in turn", one, two)
	}
	p.signal(os.Interrupt)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestAServiceOutlivesTheReaderOfItsOutput(t *testing.T) {
	h := newHome(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--name", "app", "--listen", "unix:"+h.web()+"=3000", "--", binary, "demo-worker")
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.env, h.dir, w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	seen := newLines()
	copied := make(chan struct{})
	go func() { io.Copy(seen, r); close(copied) }() // ended by r.Close
	seen.await(t, copied, "msg=serving", 1)
	r.Close()
	<-copied
	if res := h.rondo("reload", "app"); res.code != 0 { // logs a good deal
		t.Errorf("a reload with nobody to read the log = %d %q", res.code, res.stderr)
	}
	if got := h.get(); !strings.Contains(got, "generation 2") {
		t.Errorf("after it %q answered", got)
	}
	if res := h.rondo("stop", "app"); res.code != 0 {
		t.Errorf("stop = %d %q", res.code, res.stderr)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the service ended with %v, want 0", err)
	}
}

func TestStatusIsWatchedUntilTheMasterEnds(t *testing.T) {
	h := newHome(t)
	p := h.service()
	interrupted, outlived := h.start("status", "--watch"), h.start("status", "app", "--watch", "--json")
	interrupted.stdout.await(t, interrupted.exited, "app: ready", 1)
	interrupted.signal(os.Interrupt)
	if code := interrupted.ends(); code != 0 || interrupted.stderr.String() != "" {
		t.Errorf("an interrupted watch ended with %d %q, want 0", code, interrupted.stderr)
	}
	outlived.stdout.await(t, outlived.exited, `"state": "ready"`, 1)
	p.signal(syscall.SIGTERM)
	p.ends()
	if code := outlived.ends(); code != 1 || !strings.HasPrefix(outlived.stderr.String(), "rondo: ") || strings.Count(outlived.stderr.String(), "\n") != 1 {
		t.Errorf("a watch that outlives its master ended with %d %q, want 1 and why", code, outlived.stderr)
	}
}
