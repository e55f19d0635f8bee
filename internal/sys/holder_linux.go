//go:build !portable

package sys

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portHolder finds the socket in /proc/net/tcp and tcp6, or udp and udp6, and its owner
// among the descriptors of the processes that this one may look at.
func portHolder(network string, port int) (pid int, who string) {
	inodes := map[string]bool{}
	for _, family := range []string{"", "6"} {
		inodesOn("/proc/self/net/"+network+family, holding[network], port, inodes)
	}
	if len(inodes) == 0 {
		return 0, ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		number := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + number + "/comm")
		pid, _ := strconv.Atoi(number)
		return pid, fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), number)
	}
	return 0, "a process of another user"
}

// holding is the state of a socket that a port is taken by: TCP_LISTEN, and for UDP
// TCP_CLOSE, which stands for not connected.
var holding = map[string]string{"tcp": "0A", "udp": "07"}

// inodesOn collects "socket:[INODE]" of those on port. Columns as in proc_net_tcp(5).
func inodesOn(table, state string, port int, into map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		col := strings.Fields(lines.Text())
		if len(col) < 10 || col[3] != state {
			continue
		}
		_, hex, _ := strings.Cut(col[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			into["socket:["+col[9]+"]"] = true
		}
	}
}
