//go:build !portable

package cgroup

// Linux has control groups; systemd needs those of version 2.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A view is the system as one process sees it. Tests have views of their own.
type view struct {
	proc string // where proc(5) is
	self int
	pgrp func(pid int) (int, error) // of any process, also of one that proc hides
}

func here() view { return view{"/proc", os.Getpid(), unix.Getpgid} }

// group is a control group.
type group struct {
	path string // in the hierarchy, like /system.slice/app.service
	dir  string // of its files
}

var errNoGroups = fmt.Errorf("no control group of version 2: %w", errors.ErrUnsupported)

// own is the group of this process. A service with Delegate= has its ExecStop= and
// ExecStopPost= commands run in a group .control below it, which is taken for it.
func (v view) own() (group, error) {
	path, err := v.path("self")
	if err != nil {
		return group{}, err
	}
	return v.group(strings.TrimSuffix(path, "/.control"))
}

// group is the one at path, where its files are mounted.
func (v view) group(path string) (group, error) {
	mounts, err := os.ReadFile(filepath.Join(v.proc, "self/mountinfo"))
	if err != nil {
		return group{}, err
	}
	for line := range strings.Lines(string(mounts)) {
		dir := dirIn(line, path)
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return group{path, dir}, nil
		}
	}
	return group{}, errNoGroups
}

// path is where a process is in the hierarchy of version 2, which is the one line
// without the names of controllers. A group that was removed is marked.
func (v view) path(pid string) (string, error) {
	text, err := os.ReadFile(filepath.Join(v.proc, pid, "cgroup"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(strings.TrimSuffix(path, "\n"), " (deleted)"), nil
		}
	}
	return "", errNoGroups
}

// dirIn is where the files of a group are by one line of mountinfo, or "".
func dirIn(line, path string) string {
	head, kind, _ := strings.Cut(line, " - ")
	f := strings.Fields(head)
	if len(f) < 5 || !strings.HasPrefix(kind, "cgroup2 ") {
		return ""
	}
	root, at := unescaped(f[3]), unescaped(f[4])
	if root == "/" {
		root = ""
	}
	if below, ok := strings.CutPrefix(path, root); ok && (below == "" || below[0] == '/') {
		return filepath.Join(at, below)
	}
	return ""
}

// unescaped undoes what mountinfo writes for a space, a tab, a newline and a \.
func unescaped(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// procs lists the processes of g and of the groups below it. What it cannot read has
// no processes of its own: a group that was removed meanwhile, and one for threads,
// whose processes stand in the group above.
func (g group) procs() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil
		}
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil { // 0 is of another PID namespace, and never found
				pids = append(pids, pid)
			}
		}
		return err
	})
	return pids, err
}

// holds says whether a process is in g or below it.
func (v view) holds(g group, pid int) bool {
	path, err := v.path(strconv.Itoa(pid))
	return err == nil && (path == g.path || strings.HasPrefix(path, g.path+"/"))
}

func unit() string {
	if os.Getenv("SYSTEMD_EXEC_PID") != strconv.Itoa(os.Getpid()) {
		return "" // inherited from one that systemd started, or by no systemd
	}
	g, err := here().own()
	if err != nil {
		return ""
	}
	return serviceAt(g.path)
}

// serviceAt is the service that systemd made the group at path for, or "". It puts a _
// before a name that could be taken for a file of a group.
func serviceAt(path string) string {
	if name := filepath.Base(path); strings.HasSuffix(name, ".service") {
		return strings.TrimPrefix(name, "_")
	}
	return ""
}
