//go:build !portable

package sys

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestOOMFileIsThatOfTheOwnCgroup(t *testing.T) {
	const (
		v2     = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
		v2pod  = "30 23 0:26 /pod /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
		v1     = "31 23 0:27 / /cg/cpu rw - cgroup cgroup rw,cpu\n32 23 0:28 / /cg/memory rw - cgroup cgroup rw,memory\n"
		v1pod  = "32 23 0:28 /pod /cg/memory ro - cgroup cgroup rw,memory\n"
		nested = "0::/a.slice/b.service\n"
		own    = "sys/fs/cgroup/a.slice/b.service/memory.events"
		events = "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n"
		old    = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
	)
	for name, row := range map[string]struct {
		mounts, groups string
		files          map[string]string
		want           string
	}{
		"nothing there":                 {},
		"v2":                            {v2, nested, map[string]string{own: events}, own},
		"v2 only above":                 {v2, nested, map[string]string{"sys/fs/cgroup/a.slice/memory.events": events}, ""},
		"v2 with another mount first":   {"29 23 0:26 /c.slice /other rw - cgroup2 cgroup2 rw\n" + v2, nested, map[string]string{own: events}, own},
		"v2 in a container":             {v2pod, "0::/pod/x\n", map[string]string{"sys/fs/cgroup/x/memory.events": events}, "sys/fs/cgroup/x/memory.events"},
		"v2 a container's own group":    {v2pod, "0::/pod\n", map[string]string{"sys/fs/cgroup/memory.events": events}, "sys/fs/cgroup/memory.events"},
		"v2 beside a container":         {v2pod, "0::/podium\n", map[string]string{"sys/fs/cgroup/ium/memory.events": events, "sys/fs/cgroup/memory.events": events}, ""},
		"v2 in a namespace":             {v2, "0::/\n", map[string]string{"sys/fs/cgroup/memory.events": events}, "sys/fs/cgroup/memory.events"},
		"v2 outside of its namespace":   {v2, "0::/../b.service\n", map[string]string{"sys/fs/cgroup/b.service/memory.events": events, "sys/fs/b.service/memory.events": events}, ""},
		"v2 mounted of another":         {"30 23 0:26 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/x\n", map[string]string{"sys/fs/cgroup/x/memory.events": events}, ""},
		"v2 of an old kernel":           {v2, nested, map[string]string{own: "low 0\nhigh 0\nmax 7\noom 1\n"}, ""},
		"v2 garbage":                    {v2, nested, map[string]string{own: "oom_kill x\x00y\n"}, ""},
		"v1":                            {v1, "5:cpu:/g\n4:memory:/g\n0::/h\n", map[string]string{"cg/memory/g/memory.oom_control": old}, "cg/memory/g/memory.oom_control"},
		"v1 in a container":             {v1pod, "4:memory:/pod/x\n", map[string]string{"cg/memory/x/memory.oom_control": old}, "cg/memory/x/memory.oom_control"},
		"v1 of an old kernel":           {v1, "4:memory:/g\n", map[string]string{"cg/memory/g/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}, ""},
		"v1 and a v2 without a memory":  {v2 + v1, "4:memory:/g\n" + nested, map[string]string{own: events}, ""},
		"v2 and a v1 without a memory":  {v2 + v1, "5:cpu:/g\n" + nested, map[string]string{own: events}, own},
		"v2 and a v1 in another's name": {v2 + v1, "1:name=memory:/g\n" + nested, map[string]string{own: events}, own},
		"lines that are no lines":       {"30 23 -\n - cgroup2\n" + v2, "::\nx\n\n" + nested, map[string]string{own: events}, own},
	} {
		root := fstest.MapFS{
			"proc/self/mountinfo": {Data: []byte(row.mounts)},
			"proc/self/cgroup":    {Data: []byte(row.groups)},
		}
		for path, text := range row.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := oomFileIn(root); got != row.want {
			t.Errorf("%s: oomFileIn = %q, want %q", name, got, row.want)
		}
	}
}

func TestOOMKillsReadsTheCount(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int{
		"low 0\nhigh 0\nmax 7\noom 9\noom_kill 12\noom_group_kill 3\n": 12,
		"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n":                2,
		"oom_kill 0":                  0,
		"oom_kill_disable 0\n":        -1,
		"oom_kill many\n":             -1,
		"oom_kill \noom_kill_disable": -1,
		"":                            -1,
	} {
		file := filepath.Join(dir, "count")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, ok := OOMKills(file); ok != (want >= 0) || ok && n != want {
			t.Errorf("OOMKills of %q = %d, %v, want %d", text, n, ok, want)
		}
	}
	for _, file := range []string{"", dir, filepath.Join(dir, "none")} {
		if n, ok := OOMKills(file); ok {
			t.Errorf("OOMKills(%q) = %d, want none", file, n)
		}
	}
}

// The file of the machine that the test runs on, where it has one.
func TestOOMFileCanBeRead(t *testing.T) {
	file := OOMFile()
	if file == "" {
		t.Skip("not checked: the cgroup of this process does not count its kills")
	}
	if n, ok := OOMKills(file); !ok || n < 0 {
		t.Errorf("OOMKills(%q) = %d, %v, want a count", file, n, ok)
	}
}
