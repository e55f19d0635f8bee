//go:build !portable

package sys

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// opened looks for the sockets of the kernel's tables among the descriptors of pids. They
// are in one network namespace with this process.
func opened(pids []int, known map[uint64]bool) map[int][]string {
	names := openSockets()
	for inode := range known {
		delete(names, inode)
	}
	found := map[int][]string{}
	for _, pid := range pids {
		if list, err := socketsOf(pid, names); err == nil {
			found[pid] = list
		}
	}
	return found
}

// socketsOf gives the names of those that pid has open.
func socketsOf(pid int, names map[uint64]string) ([]string, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, e := range entries {
		if len(names) == 0 {
			break
		}
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed since
		}
		text, isSocket := strings.CutPrefix(to, "socket:[")
		inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
		if name := names[inode]; isSocket && err == nil && name != "" {
			has[name] = true
		}
	}
	list := slices.AppendSeq([]string{}, maps.Keys(has))
	slices.Sort(list)
	return list, nil
}

// openSockets names those that listen, and UDP ones that are not connected, by inode.
// Those of clients are left out: their ports are the kernel's choice.
func openSockets() map[uint64]string {
	names, clients := map[uint64]string{}, firstEphemeral()
	for _, network := range []string{"tcp", "udp"} {
		for _, family := range []string{"", "6"} {
			text, _ := os.ReadFile("/proc/self/net/" + network + family)
			for line := range strings.Lines(string(text)) {
				col := strings.Fields(line)
				if len(col) < 10 || col[3] != holding[network] {
					continue
				}
				at, ok := tableAddress(col[1])
				inode, err := strconv.ParseUint(col[9], 10, 64)
				switch {
				case !ok || err != nil:
				case network == "tcp":
					names[inode] = at.String()
				case int(at.Port()) < clients:
					names[inode] = "udp:" + at.String()
				}
			}
		}
	}
	text, _ := os.ReadFile("/proc/self/net/unix")
	for line := range strings.Lines(string(text)) {
		if row := unixRow.FindStringSubmatch(strings.TrimSuffix(line, "\n")); row != nil {
			if inode, err := strconv.ParseUint(row[1], 10, 64); err == nil {
				names[inode] = "unix:" + row[2]
			}
		}
	}
	return names
}

// firstEphemeral is the first port that the kernel gives to clients (ip(7)).
func firstEphemeral() int {
	first := 32768
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		fmt.Sscan(string(text), &first)
	}
	return first
}
