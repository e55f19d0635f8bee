package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rondokit/rondo/internal/install"
)

// doubt is why the next master might not come, or not be able to take over the workers
// of the master whose process is pid; nil if nothing says so.
func doubt(p plan, ofUser bool, pid int) error {
	const held = "requests in flight are finished, and WebSockets are held until drain-timeout"
	if len(p.before) > 0 {
		return insteadOf("systemd is also to "+strings.Join(p.before, ", "),
			errors.New("if that fails, no next master comes; "+held))
	}
	if ofUser { // whose processes all are
		return nil
	}
	next, known := accountOf(p.service.Account, p.service.Dynamic)
	is, err := uidOf(pid)
	if !known || err != nil || next == is {
		return nil
	}
	return insteadOf(fmt.Sprintf("the next master is to run as uid %d and process %d runs as uid %d", next, pid, is),
		errors.New("it could not end workers of another account; "+held))
}

// accountOf is the uid of User=, where an empty one is root's. It is not known of a
// dynamic user's, nor of an account that is not of this machine alone.
func accountOf(name string, dynamic bool) (uid int, known bool) {
	if name == "" {
		return 0, !dynamic
	}
	if uid, err := strconv.Atoi(name); err == nil {
		return uid, true
	}
	account, err := install.OSAccounts().Lookup(name)
	return account.UID, err == nil
}

// uidOf is the effective one of a process, also of one that is not dumpable, whose files
// below /proc are root's.
func uidOf(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Uid:" {
			return strconv.Atoi(f[2])
		}
	}
	return 0, fmt.Errorf("process %d has no Uid", pid)
}
