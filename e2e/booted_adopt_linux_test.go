//go:build linux

package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
)

// keeping installs a service of two workers that keep files: one of Node, one of Go.
func (h *host) keeping(program string, flags ...string) {
	h.t.Helper()
	text, err := os.ReadFile("testdata/keeps.js")
	if err != nil {
		h.t.Fatal(err)
	}
	h.program(string(text))
	h.WriteFile("/srv/app/run", 0o755, "#!/bin/sh\ncase $RONDO_SLOT in 0) exec node server.js;; *) exec "+program+";; esac\n")
	args := append([]string{"install", "--name", "app", "--listen", "8080=3000", "--workers", "2"}, flags...)
	if out, err := h.rondo(append(args, "--", "/srv/app/run")...); err != nil {
		h.t.Fatal(err, out)
	}
	h.get("tcp", "127.0.0.1:8080")
	h.started()
}

// kept is what each of the two workers answers, by its pid.
func (h *host) kept() map[string]map[string]string {
	h.t.Helper()
	all := map[string]map[string]string{}
	for range 2 { // in turn
		got := make(map[string]string)
		if err := json.Unmarshal([]byte(h.get("tcp", "127.0.0.1:8080")), &got); err != nil {
			h.t.Fatal(err)
		}
		all[got["pid"]] = got
	}
	return all
}

func TestSurvivingWorkerKeepsItsFilesAndItsSandbox(t *testing.T) {
	program := staticProgram(t, "keeps")
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("main process killed")
		h.Expect("killed result")
		h.expectFound()
		h.Expect("Go worker found")
		h.Copy(program, "/usr/local/bin/keeps")
		h.Must("useradd", "--system", "web")
		for _, flags := range [][]string{nil, {"--run-as", "web"}} {
			h.keeping("keeps", flags...)
			before := h.kept()
			if len(before) != 2 {
				t.Fatalf("answered by %v, want two", slices.Collect(maps.Keys(before)))
			}
			for pid, answers := range before {
				for what, got := range answers {
					if want, ok := sandboxed[what]; ok && got != want {
						t.Errorf("%v: worker %s: %s: %s, want %s", flags, pid, what, got, want)
					} else if !ok && what != "pid" && what != "uid" && got != "done" {
						t.Errorf("%v: worker %s: %s: %s", flags, pid, what, got)
					}
				}
			}
			for i := range 2 {
				st := h.status()
				h.Must("kill", "-KILL", strconv.Itoa(st.PID))
				h.Await("app.service", func(p map[string]string) bool {
					return p["ActiveState"] == "active" && p["MainPID"] != strconv.Itoa(st.PID)
				}, "ActiveState", "MainPID")
				if after := h.status(); after.Adopted != i+1 {
					t.Errorf("%v: adopted %d times after %d kills", flags, after.Adopted, i+1)
				}
				after := h.kept()
				for pid, answers := range before {
					for what, want := range answers {
						if got := after[pid][what]; got != want {
							t.Errorf("%v: kill %d: worker %s: %s: %s, before %s", flags, i+1, pid, what, got, want)
						}
					}
				}
			}
			h.Must("rondo", "uninstall", "app")
		}
	})
}

// sandboxed is what a worker must not be able to do, and how that is told.
var sandboxed = map[string]string{
	"write /etc/x": "EROFS", "write /srv/app/x": "EROFS", "write /usr/x": "EROFS",
	"list /home": "EACCES", "see process 1": "ENOENT", "packet socket": "EAFNOSUPPORT",
	"NoNewPrivs": "1", "Seccomp": "2", "CapBnd": "0000000000000000",
}
