package activation

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The reading of the variables is our own, not that of coreos/go-systemd/activation:
// that one (v22.7.0) takes a number it cannot read for no sockets at all, does not
// know LISTEN_PIDFDID, fills in for missing names, and makes its caller depend on
// crypto/tls, which a worker would then carry.

// maxPassed bounds LISTEN_FDS. systemd passes a few sockets per unit and what is in
// the descriptor store; a number far from that is a mistake, to be said in one line
// and not in one for each descriptor that is missing.
const maxPassed = 4096

// unknown is the name of a descriptor that was passed without one, as in
// sd_listen_fds_with_names(3).
const unknown = "unknown"

// variables is what the manager left in the environment. Empty means unset.
type variables struct {
	pid     string // LISTEN_PID
	pidfdID string // LISTEN_PIDFDID, which systemd 252 does not set yet
	fds     string // LISTEN_FDS
	names   string // LISTEN_FDNAMES
}

// takeVariables reads the variables and removes them from the environment.
func takeVariables() variables {
	return variables{
		pid:     takeVariable("LISTEN_PID"),
		pidfdID: takeVariable("LISTEN_PIDFDID"),
		fds:     takeVariable("LISTEN_FDS"),
		names:   takeVariable("LISTEN_FDNAMES"),
	}
}

func takeVariable(key string) string {
	value := os.Getenv(key)
	os.Unsetenv(key) // fails only for a malformed key
	return value
}

// parse returns the names of the descriptors that v announces to process pid: the
// first belongs to descriptor 3, the next to 4, and so on. It returns none when v
// announces nothing or is meant for another process. pidfdID gives the id of this
// process that LISTEN_PIDFDID holds, and false where it cannot be obtained; it is
// called only when it is needed.
//
// When only the names are wrong, parse returns an error and as many names as
// there are descriptors, so that the caller can close those.
func parse(v variables, pid int, pidfdID func() (uint64, bool)) ([]string, error) {
	if v.pid == "" {
		return nil, nil
	}
	forPID, err := strconv.ParseUint(v.pid, 10, 31)
	if err != nil || forPID == 0 {
		return nil, fmt.Errorf("activation: LISTEN_PID=%q: want the id of a process", v.pid)
	}
	if int(forPID) != pid {
		return nil, nil
	}
	if v.pidfdID != "" {
		// The id is never reused, as pids are.
		want, err := strconv.ParseUint(v.pidfdID, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("activation: LISTEN_PIDFDID=%q: want the inode number of a pidfd", v.pidfdID)
		}
		if own, ok := pidfdID(); ok && own != want {
			return nil, nil
		}
	}
	if v.fds == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(v.fds, 10, 31)
	if err != nil || n == 0 || n > maxPassed {
		return nil, fmt.Errorf("activation: LISTEN_FDS=%q: want a number of descriptors from 1 to %d", v.fds, maxPassed)
	}
	return parseNames(v.names, int(n))
}

// parseNames splits LISTEN_FDNAMES into n names. An empty name is an unknown one.
func parseNames(value string, n int) ([]string, error) {
	names := make([]string, n)
	for i := range names {
		names[i] = unknown
	}
	if value == "" {
		return names, nil
	}
	given := strings.Split(value, ":")
	if len(given) != n {
		return names, fmt.Errorf("activation: LISTEN_FDNAMES=%q: %d names for the %d descriptors of LISTEN_FDS",
			value, len(given), n)
	}
	for i, name := range given {
		if name != "" {
			names[i] = name
		}
	}
	return names, nil
}
