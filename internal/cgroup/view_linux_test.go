//go:build !portable

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A tree is a made-up /proc and hierarchy of groups.
type tree struct {
	t     *testing.T
	dir   string
	procs map[string][]string // by group
	pgrps map[int]int
}

// newTree has this process, 100, in the group at path, below a mount of which root is
// the group on top.
func newTree(t *testing.T, root, path string) *tree {
	t.Helper()
	f := &tree{t, t.TempDir(), make(map[string][]string), make(map[int]int)}
	f.write("proc/self/cgroup", "12:pids:/other\n1:name=systemd:/other\n0::"+path+"\n")
	f.write("proc/self/mountinfo", fmt.Sprintf(`22 1 0:21 / /proc rw - proc proc rw
40 31 0:37 / %[1]s/v1 rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 /../.. %[1]s/outside rw,relatime - cgroup2 cgroup2 rw
42 31 0:38 /else/where %[1]s/elsewhere rw,relatime shared:9 - cgroup2 cgroup2 rw
43 31 0:38 %[2]s %[1]s/uni\040fied rw,relatime shared:9 - cgroup2 cgroup2 rw
`, f.dir, root))
	return f
}

func (f *tree) view() view {
	return view{filepath.Join(f.dir, "proc"), 100, func(pid int) (int, error) {
		pgrp, ok := f.pgrps[pid]
		if !ok {
			return 0, unix.ESRCH
		}
		return pgrp, nil
	}}
}

func (f *tree) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// process puts one into a group, a path below the mount.
func (f *tree) process(group string, pid, parent, pgrp, began int, environ ...string) {
	f.t.Helper()
	f.stat(pid, parent, began)
	f.pgrps[pid] = pgrp
	f.write(fmt.Sprintf("proc/%d/environ", pid), strings.Join(environ, "\x00")+"\x00")
	f.procs[group] = append(f.procs[group], strconv.Itoa(pid))
	f.write(filepath.Join("uni fied", group, "cgroup.procs"), strings.Join(f.procs[group], "\n")+"\n")
}

func (f *tree) stat(pid, parent, began int) {
	f.t.Helper()
	f.write(fmt.Sprintf("proc/%d/stat", pid), fmt.Sprintf("%d (a) (%d) S %d 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 999 9\n", pid, pid, parent, began))
}

// hide hides a process from this one.
func (f *tree) hide(pid int) {
	f.t.Helper()
	if err := os.RemoveAll(filepath.Join(f.dir, "proc", strconv.Itoa(pid))); err != nil {
		f.t.Fatal(err)
	}
}

// leftovers are the pids that are left over where keep is kept.
func (f *tree) leftovers(keep ...int) []int {
	f.t.Helper()
	return f.leftoversOf(keep, nil)
}

// leftoversOf is leftovers where the groups of lost are known, too.
func (f *tree) leftoversOf(keep, lost []int) []int {
	f.t.Helper()
	list, err := f.view().leftovers(keep, lost)
	if err != nil {
		f.t.Fatal(err)
	}
	var pids []int
	for _, p := range list {
		if want := fmt.Sprintf("a) (%d (%d)", p.PID, p.PID); p.String() != want && p.String() != fmt.Sprint("process ", p.PID) {
			f.t.Errorf("process %d is called %q, want %q", p.PID, p, want)
		}
		pids = append(pids, p.PID)
	}
	slices.Sort(pids)
	return pids
}

const app = "/system.slice/app.service"

func TestOnlyWhatAnEarlierRunLeftIsLeftOver(t *testing.T) {
	f := newTree(t, "/", app)
	f.process("init.scope", 1, 0, 1, 0)
	f.process(app, 90, 1, 90, 500) // the wrapper that started us
	f.process(app, 100, 90, 90, 501)
	f.process(app, 101, 90, 99, 501) // what the wrapper started besides
	f.process(app, 102, 100, 102, 502)
	f.process(app+"/sub", 103, 102, 102, 503)

	f.process(app, 200, 1, 200, 300, "HOME=/", "RONDO_WORKER_ID=7") // kept
	f.process(app, 201, 200, 201, 301)                              // its child
	f.process(app, 202, 201, 202, 302)                              // and that one's
	f.process(app, 203, 1, 200, 303)                                // of its process group
	f.process(app+"/sub", 204, 1, 204, 300, "RONDO_WORKER_ID=7")    // by its id
	f.process(app, 205, 206, 205, 305)                              // its child's, who is in another group
	f.process("elsewhere", 206, 200, 206, 304)

	f.process(app, 300, 1, 300, 300, "RONDO_WORKER_ID=8")    // a worker that nobody adopted
	f.process(app, 301, 300, 300, 301, "RONDO_WORKER_ID=78") // and its child
	f.process(app, 302, 1, 302, 299, "RONDO_WORKER_ID=7")    // of an earlier worker of that id
	f.process(app, 303, 1, 303, 400, "XRONDO_WORKER_ID=7")   // whose environment says nothing
	f.process(app+"/sub/sub", 304, 1, 304, 304)              // below
	f.process(app, 305, 306, 305, 305)                       // the child of one that has ended
	f.process(app+"-2", 306, 1, 306, 306)                    // in a group of nearly that name
	f.process(app, 307, 308, 307, 307)                       // two that seem each other's
	f.process(app, 308, 307, 308, 308)
	f.process(app, 309, 1, 309, 309)
	delete(f.pgrps, 309) // which has ended

	if got, want := f.leftovers(200, 999), []int{300, 301, 302, 303, 304, 305, 307, 308}; !slices.Equal(got, want) {
		t.Errorf("left over are %d, want %d", got, want)
	}
	if got, want := f.leftovers(), []int{200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 304, 305, 307, 308}; !slices.Equal(got, want) {
		t.Errorf("left over with nothing kept are %d, want %d", got, want)
	}
	if got, want := f.leftovers(200, 300), []int{302, 303, 304, 305, 307, 308}; !slices.Equal(got, want) {
		t.Errorf("left over with two kept are %d, want %d", got, want)
	}
}

func TestOfWhatCannotBeSeenOnlyTheProcessGroupIsKnown(t *testing.T) {
	f := newTree(t, "/", app)
	f.process(app, 99, 1, 99, 499) // the wrapper that started us
	f.process(app, 100, 99, 100, 500)
	f.process(app, 101, 100, 101, 501)                      // ours
	f.process(app, 102, 1, 100, 499)                        // of our process group
	f.process(app, 200, 1, 200, 300, "RONDO_WORKER_ID=7")   // kept
	f.process(app, 201, 200, 200, 301)                      // its child
	f.process(app, 202, 200, 202, 302, "RONDO_WORKER_ID=7") // its child, in a process group of its own
	f.process(app, 300, 1, 300, 300)                        // an earlier run's
	f.process(app, 301, 1, 301, 301)                        // one that can be seen
	f.process(app, 302, 300, 300, 302)                      // the child of that one
	for _, pid := range []int{99, 102, 200, 201, 202, 300, 302} {
		f.hide(pid)
	}
	if got, want := f.leftovers(200), []int{301}; !slices.Equal(got, want) {
		t.Errorf("left over are %d, want %d alone: what cannot be seen may be of the one that is kept", got, want)
	}
	if got, want := f.leftoversOf([]int{200}, []int{100, 200, 300, 400}), []int{300, 301, 302}; !slices.Equal(got, want) {
		t.Errorf("left over are %d, want %d: of those that are lost, the groups that are neither ours nor kept", got, want)
	}
	if got, want := f.leftovers(), []int{200, 201, 202, 300, 301, 302}; !slices.Equal(got, want) {
		t.Errorf("left over with nothing kept are %d, want %d", got, want)
	}

	g := group{app, filepath.Join(f.dir, "uni fied", app)}
	f.write("proc/301/cgroup", "0::"+app+"\n")
	for _, row := range []struct {
		what string
		p    Process
		want bool
	}{
		{"one that is seen", Process{301, "a) (301", 301}, true},
		{"the next with its pid", Process{301, "a) (301", 300}, false},
		{"one that is hidden", Process{PID: 300}, true},
		{"the next with its pid, which is seen", Process{PID: 301}, false},
		{"the next with its pid, which is hidden", Process{300, "a) (300", 300}, false},
		{"one that has ended", Process{PID: 999}, false},
	} {
		if got := f.view().is(g, row.p); got != row.want {
			t.Errorf("%s: %v, want %v", row.what, got, row.want)
		}
	}
}

func TestTheGroupIsFoundWhereverItIsMounted(t *testing.T) {
	for _, row := range []struct{ what, root, path, group, own string }{
		{"the whole hierarchy", "/", app, app, app},
		{"a part of it, as in a container", "/system.slice", app, "/app.service", "/app.service"},
		{"just the group", app, app, "/", "/"},
		{"a command of a service with Delegate=", "/", app + "/.control", app, app + "/.control"},
	} {
		f := newTree(t, row.root, row.path)
		f.process(row.own, 100, 1, 100, 500)
		f.process(row.group, 300, 1, 300, 300)
		f.process(row.group+"/below", 301, 1, 301, 301)
		if got, want := f.leftovers(), []int{300, 301}; !slices.Equal(got, want) {
			t.Errorf("%s: left over are %d, want %d", row.what, got, want)
		}
	}
}

func TestTheFilesOfAGroup(t *testing.T) {
	for line, want := range map[string]string{
		"42 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw":                      "/sys/fs/cgroup/system.slice/app.service",
		"42 31 0:38 /system.slice /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw": "/sys/fs/cgroup/app.service",
		"42 31 0:38 /system /sys/fs/cgroup rw - cgroup2 cgroup2 rw":                "",
		"42 31 0:38 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw":                 "",
		"42 31 0:38 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd":   "",
		"42 31 0:38 - cgroup2 cgroup2 rw":                                          "",
		"":                                                                         "",
	} {
		if got := dirIn(line, app); got != want {
			t.Errorf("dirIn(%s) = %q, want %q", line, got, want)
		}
	}
}

func TestWithoutAGroupOfItsOwnNothingIsLeftOver(t *testing.T) {
	f := newTree(t, "/", "/")
	f.process("/", 100, 1, 100, 500)
	f.process("/", 300, 1, 300, 300)
	if list, err := f.view().leftovers(nil, nil); err == nil || !strings.Contains(err.Error(), "root of all control groups") {
		t.Errorf("in the root = %v, %v, want an error", list, err)
	}

	f = newTree(t, "/", app) // a group of that name, which is another's
	f.process(app, 300, 1, 300, 300)
	if list, err := f.view().leftovers(nil, nil); err == nil || !strings.Contains(err.Error(), "does not hold this process") {
		t.Errorf("in a group without this process = %v, %v, want an error", list, err)
	}

	f = newTree(t, "/else", app) // not mounted
	if list, err := f.view().leftovers(nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a mount = %v, %v, want ErrUnsupported", list, err)
	}
	f.write("proc/self/cgroup", "12:pids:/other\n1:name=systemd:/other\n")
	if list, err := f.view().leftovers(nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without version 2 = %v, %v, want ErrUnsupported", list, err)
	}
}

func TestTheServiceOfAGroup(t *testing.T) {
	for path, want := range map[string]string{
		app:                          "app.service",
		"/system.slice/_cpu.service": "cpu.service",
		"/user.slice/user-1.slice/user@1.service/app.slice/app.service": "app.service",
		"/user.slice/user-1.slice/session-2.scope":                      "",
		app + "/worker": "",
		"/":             "",
	} {
		if got := serviceAt(path); got != want {
			t.Errorf("serviceAt(%s) = %q, want %q", path, got, want)
		}
	}
}

func TestBrokenStatsAreNoProcesses(t *testing.T) {
	const good = "7 (sh) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 500 999"
	if st, ok := parseStat(good); !ok || st != (stat{"sh", 1, 500}) {
		t.Errorf("parseStat(%s) = %+v, %v", good, st, ok)
	}
	for _, text := range []string{"", "7", "7 (sh S 1 7", "7 )sh( S 1", "7 (sh) S 1 7", strings.Replace(good, "S 1", "S x", 1), strings.Replace(good, "500", "-5", 1)} {
		if st, ok := parseStat(text); ok {
			t.Errorf("parseStat(%s) = %+v, want nothing", text, st)
		}
	}
}

func TestAListOfProcessesIsShort(t *testing.T) {
	var list []Process
	for i := range 12 {
		list = append(list, Process{PID: i, Comm: "node"})
	}
	if got := List(list[:2]); got != "node (0), node (1)" {
		t.Errorf("List = %q", got)
	}
	if got := List(list); !strings.HasSuffix(got, "node (9) and 2 more") {
		t.Errorf("List = %q, want ten and 2 more", got)
	}
}
