package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/master"
)

// loopback gives an address of 127.0.0.0/8 that nobody else uses.
func loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 2+rand.IntN(250))
}

// activated is rondo started by systemd-socket-activate.
type activated struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     bytes.Buffer
	program string
	env     []string
}

// activate has systemd-socket-activate listen on sockets and run rondo with args
// at the first connection.
func activate(t *testing.T, names string, sockets, env, args []string) *activated {
	t.Helper()
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		need(t, "systemd-socket-activate", err)
	}
	a := &activated{t: t, program: rondo(t), env: append(env, "XDG_RUNTIME_DIR="+t.TempDir())}
	call := []string{"--fdname=" + names}
	for _, s := range sockets {
		call = append(call, "-l", s)
	}
	for _, kv := range a.env { // it passes on nothing that it is not told to
		call = append(call, "-E", kv)
	}
	a.cmd = exec.Command(tool, append(append(call, a.program), args...)...)
	a.cmd.Stdout, a.cmd.Stderr = &a.log, &a.log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.cmd.Process.Signal(syscall.SIGTERM)
		if err := a.cmd.Wait(); err != nil {
			t.Errorf("rondo ended with %v", err)
		}
		t.Logf("its output:\n%s", a.log.String())
	})
	return a
}

// rondo runs one more command of the program, and gives what it prints.
func (a *activated) rondo(args ...string) string {
	a.t.Helper()
	cmd := exec.Command(a.program, args...)
	cmd.Env = append(os.Environ(), a.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("rondo %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// status is what the program tells of its state.
func (a *activated) status() master.Status {
	a.t.Helper()
	var st master.Status
	if err := json.Unmarshal([]byte(a.rondo("status", "app", "--json")), &st); err != nil {
		a.t.Fatal(err)
	}
	return st
}

// curl asks with the real client, and waits for a socket that is about to be there.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"--silent", "--show-error", "--max-time", "60", "--retry", "100", "--retry-delay", "1", "--retry-connrefused"}, args...)
	out, err := exec.Command("curl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestActivatedSocketsReachNode is the main job: sockets of systemd, handed to an
// unmodified program that names them by descriptor, by port and path, and by mapping.
func TestActivatedSocketsReachNode(t *testing.T) {
	program := node(t, 20)
	for _, c := range []struct{ way, listen, flags string }{
		{"descriptor", `[{"fd":3},{"fd":4}]`, ""},
		{"port and path", `[PORT,"PATH"]`, ""},
		{"mapping", `[3000,"/run/wanted.sock"]`, "--listen fd:web=3000 --listen fd:ux=/run/wanted.sock"},
	} {
		t.Run(c.way, func(t *testing.T) {
			host, path := loopback(), filepath.Join(t.TempDir(), "s")
			port := 1024 + rand.IntN(20000)
			listen := strings.NewReplacer("PORT", fmt.Sprint(port), "PATH", path).Replace(c.listen)
			address := fmt.Sprintf("%s:%d", host, port)
			args := append([]string{"run", "--name", "app", "--workers", "2"}, strings.Fields(c.flags)...)
			a := activate(t, "web:ux", []string{address, path}, []string{"TEST_LISTEN=" + listen},
				append(args, "--", program, "testdata/both.js"))

			curl(t, "http://"+address+"/") // which starts it
			for ready(a.status()) < 2 {
				runtime.Gosched()
			}
			first := curl(t, "http://"+address+"/")
			if second := curl(t, "http://"+address+"/"); second == first {
				t.Errorf("both answers are from %s, want two workers in turn", first)
			}
			if over := curl(t, "--unix-socket", path, "http://localhost/"); over == "" {
				t.Error("no answer over the unix socket")
			}
			a.rondo("reload", "app")
			if after := curl(t, "http://"+address+"/"); after == first {
				t.Errorf("worker %s answers after the reload", after)
			}
			st := a.status()
			if st.Generation != 2 || len(st.Listeners) != 2 || st.Listeners[0].Name != "web" || st.Listeners[1].Name != "ux" || !st.Listeners[0].Passed {
				t.Errorf("status %+v, want generation 2 and the passed listeners web and ux", st)
			}
		})
	}
}
