// Package proc reads from Linux's /proc what processes have used, and how busy the
// machine was with others.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a line of /proc/PID/stat.
type process struct {
	pid, parent int
	cpu         time.Duration // also of its children that it has waited for
}

// tick is the unit of times in /proc: USER_HZ is 100 on all that Go runs on.
const tick = 10 * time.Millisecond

func parseStat(text string) (process, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("stat %q: no name in parentheses", text)
	}
	// From the third field on, which is the state.
	fields := strings.Fields(text[end+1:])
	if len(fields) < 15 {
		return process{}, fmt.Errorf("stat %q: %d fields after the name", text, len(fields))
	}
	var p process
	var err error
	if p.pid, err = strconv.Atoi(strings.TrimSpace(text[:open])); err != nil {
		return process{}, fmt.Errorf("stat %q: %w", text, err)
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return process{}, fmt.Errorf("stat %q: %w", text, err)
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return process{}, fmt.Errorf("stat %q: %w", text, err)
		}
		p.cpu += time.Duration(n) * tick
	}
	return p, nil
}

// processes gives all there are. One that ends meanwhile may be left out.
func processes() (map[int]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]process, len(paths))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		p, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		all[p.pid] = p
	}
	return all, nil
}

// Descendants gives the processes that root has started, theirs, and so on.
func Descendants(root int) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	return descendants(all, root), nil
}

func descendants(all map[int]process, root int) []int {
	children := map[int][]int{}
	for pid, p := range all {
		children[p.parent] = append(children[p.parent], pid)
	}
	var found []int
	for todo := children[root]; len(todo) > 0; todo = todo[1:] {
		found = append(found, todo[0])
		todo = append(todo, children[todo[0]]...)
	}
	return found
}

// Children gives the processes that parent has started and that have not ended.
func Children(parent int) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var pids []int
	for pid, p := range all {
		if p.parent == parent {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
