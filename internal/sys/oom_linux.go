//go:build !portable

package sys

// Linux counts in the cgroup of the process that it killed, whichever limit was
// reached: in v2 in memory.events, which sums what is below; in v1, where the memory
// controller is in a hierarchy of its own, in memory.oom_control.

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

func oomFile() string {
	file := oomFileIn(os.DirFS("/"))
	if file == "" {
		return ""
	}
	return "/" + file
}

func oomKills(file string) (n int, ok bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	return oomKillsOf(string(text))
}

// oomFileIn finds the file in root, the file system of the machine. One without a
// count is not found: the root of v2 has none, nor has a kernel before 4.13.
func oomFileIn(root fs.FS) string {
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	mounts, _ := fs.ReadFile(root, "proc/self/mountinfo")
	kind, group := memoryGroup(string(groups))
	name := "memory.events"
	if kind == "cgroup" {
		name = "memory.oom_control"
	}
	for line := range strings.Lines(string(mounts)) {
		// "35 31 0:32 /root /mounted/at rw shared:4 - cgroup cgroup rw,memory"
		before, after, _ := strings.Cut(line, " - ")
		at, about := strings.Fields(before), strings.Fields(after)
		if len(at) < 5 || len(about) < 3 || about[0] != kind || kind == "cgroup" && !hasWord(about[2], "memory") {
			continue
		}
		below, ok := beneath(group, at[3])
		if !ok {
			continue
		}
		file := path.Join(at[4], below, name)[1:]
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue
		}
		if _, ok := oomKillsOf(string(text)); ok {
			return file
		}
	}
	return ""
}

// memoryGroup finds the hierarchy that the memory controller is in, and the group of
// the process there: "4:memory:/group" for v1, else "0::/group" for v2.
func memoryGroup(groups string) (kind, group string) {
	for line := range strings.Lines(groups) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(part) < 3:
		case hasWord(part[1], "memory"):
			return "cgroup", part[2]
		case part[0] == "0":
			kind, group = "cgroup2", part[2]
		}
	}
	return kind, group
}

// beneath gives group's path below the group that is mounted. In a container that is
// not always "/"; and a group outside of what it may see, "/../group", is not below.
func beneath(group, mounted string) (below string, ok bool) {
	if strings.HasPrefix(group, "/..") || strings.HasPrefix(mounted, "/..") {
		return "", false
	}
	below, ok = strings.CutPrefix(group, strings.TrimSuffix(mounted, "/"))
	return below, ok && (below == "" || below[0] == '/')
}

// oomKillsOf gives the count of the line "oom_kill 3".
func oomKillsOf(text string) (n int, ok bool) {
	for line := range strings.Lines(text) {
		if count, found := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); found {
			n, err := strconv.Atoi(count)
			return n, err == nil
		}
	}
	return 0, false
}

func hasWord(list, word string) bool {
	return strings.Contains(","+list+",", ","+word+",")
}
