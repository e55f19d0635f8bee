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
)

// stat is what proc_pid_stat(5) has of a process, as far as it is asked here.
type stat struct {
	comm   string
	parent int
	began  uint64
}

// stat reads a process. It is not there when it has ended, and when this process may
// not see it.
func (v view) stat(pid int) (stat, bool) {
	text, err := os.ReadFile(filepath.Join(v.proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, false
	}
	return parseStat(string(text))
}

// parseStat looks for the last parenthesis: a process may have some in its name.
func parseStat(text string) (stat, bool) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, false
	}
	f := strings.Fields(text[end+1:]) // from the third field on
	if len(f) < 20 {
		return stat{}, false
	}
	parent, err1 := strconv.Atoi(f[1])
	began, err2 := strconv.ParseUint(f[19], 10, 64)
	return stat{text[open+1 : end], parent, began}, err1 == nil && err2 == nil
}

// workerID is the RONDO_WORKER_ID that a process was started with, or "".
func (v view) workerID(pid int) string {
	text, _ := os.ReadFile(filepath.Join(v.proc, strconv.Itoa(pid), "environ")) // not ours to read: ""
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if id, ok := strings.CutPrefix(entry, "RONDO_WORKER_ID="); ok {
			return id
		}
	}
	return ""
}

func leftovers(keep, lost []int) ([]Process, error) { return here().leftovers(keep, lost) }

func (v view) leftovers(keep, lost []int) ([]Process, error) {
	g, err := v.own()
	if err != nil {
		return nil, err
	}
	if g.path == "/" {
		return nil, errors.New("this process is in the root of all control groups, which is no service's")
	}
	pids, err := g.procs()
	if err != nil {
		return nil, fmt.Errorf("processes of control group %s: %w", g.path, err)
	}
	if !slices.Contains(pids, v.self) {
		return nil, fmt.Errorf("control group %s does not hold this process", g.path)
	}
	return v.outside(pids, keep, lost), nil
}

func strangers(path string, keep []int) ([]Process, error) { return here().strangers(path, keep) }

func (v view) strangers(path string, keep []int) ([]Process, error) {
	g, err := v.group(path)
	if err != nil {
		return nil, err
	}
	pids, err := g.procs()
	if err != nil {
		return nil, fmt.Errorf("processes of control group %s: %w", g.path, err)
	}
	keep = slices.DeleteFunc(slices.Clone(keep), func(pid int) bool { return pid <= 0 })
	return v.outside(pids, keep, nil), nil
}

// outside gives those of pids that are not of this run, nor of keep.
func (v view) outside(pids, keep, lost []int) []Process {
	f := v.family(pids, keep)
	var list []Process
	for _, pid := range pids {
		pgrp, err := v.pgrp(pid)
		if err != nil || f.heads[pid] || f.groups[pgrp] {
			continue // an error is of one that has ended
		}
		st, seen := v.stat(pid)
		if seen && !f.has(pid, st) || !seen && (len(keep) == 0 || slices.Contains(lost, pgrp)) {
			list = append(list, Process{pid, st.comm, st.began})
		}
	}
	return list
}

// family is who is not to be killed.
type family struct {
	view
	heads  map[int]bool      // and all that they started
	groups map[int]bool      // process groups
	ids    map[string]uint64 // worker ids, and since when there is that worker
}

// family has this process, its ancestors among pids, and the processes of keep.
func (v view) family(pids, keep []int) family {
	f := family{v, map[int]bool{v.self: true}, make(map[int]bool), make(map[string]uint64)}
	for st, ok := v.stat(v.self); ok && !f.heads[st.parent] && slices.Contains(pids, st.parent); st, ok = v.stat(st.parent) {
		f.heads[st.parent] = true
	}
	if pgrp, err := v.pgrp(v.self); err == nil {
		f.groups[pgrp] = true
	}
	for _, pid := range keep {
		f.heads[pid] = true
		if pgrp, err := v.pgrp(pid); err == nil {
			f.groups[pgrp] = true
		}
		if id := v.workerID(pid); id != "" {
			st, _ := v.stat(pid)
			f.ids[id] = st.began
		}
	}
	return f
}

// has says whether a process that can be seen belongs to one of f.
func (f family) has(pid int, st stat) bool {
	if f.descends(pid, st) {
		return true
	}
	since, ok := f.ids[f.workerID(pid)]
	return ok && st.began >= since // else of a worker that had this id before
}

// descends goes from parent to parent. Each is met once, as those that end meanwhile
// could lead in a circle.
func (f family) descends(pid int, st stat) bool {
	met := make(map[int]bool)
	for ok := true; ok && !met[pid]; st, ok = f.stat(pid) {
		if f.heads[pid] {
			return true
		}
		met[pid] = true
		pid = st.parent
	}
	return false
}
