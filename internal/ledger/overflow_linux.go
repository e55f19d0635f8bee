// Linux counts in the TcpExt lines of /proc/net/netstat, a line of names followed
// by a line of values.

package ledger

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func overflows() (Overflow, error) {
	text, err := os.ReadFile("/proc/thread-self/net/netstat")
	if err != nil {
		return Overflow{}, err
	}
	return parseNetstat(string(text))
}

// parseNetstat finds the counters by name: their place differs by kernel.
func parseNetstat(text string) (Overflow, error) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		return counters(names, fields)
	}
	return Overflow{}, errors.New("no TcpExt lines")
}

func counters(names, values []string) (Overflow, error) {
	if len(names) != len(values) {
		return Overflow{}, fmt.Errorf("TcpExt has %d names and %d values", len(names), len(values))
	}
	var o Overflow
	found := 0
	for i, name := range names {
		var to *uint64
		switch name {
		case "ListenOverflows":
			to = &o.Overflows
		case "ListenDrops":
			to = &o.Drops
		case "TCPSynRetrans":
			to = &o.Retries
		default:
			continue
		}
		n, err := strconv.ParseUint(values[i], 10, 64)
		if err != nil {
			return Overflow{}, fmt.Errorf("%s: %w", name, err)
		}
		*to = n
		found++
	}
	if found != 3 {
		return Overflow{}, errors.New("TcpExt has not all of ListenOverflows, ListenDrops and TCPSynRetrans")
	}
	return o, nil
}
