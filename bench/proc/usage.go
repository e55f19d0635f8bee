package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Use is what threads have used.
type Use struct {
	CPU      time.Duration
	Switches uint64 // of context, voluntary and not
}

// Threads is the use of each thread, by its id.
type Threads map[int]Use

// Of reads what the threads of processes have used. Those that have ended are left out:
// some programs start short-lived ones. If all have, that is an error.
func Of(pids ...int) (Threads, error) {
	threads := Threads{}
	for _, pid := range pids {
		dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			id, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				return nil, err
			}
			use, alive, err := thread(dir)
			if err != nil {
				return nil, err
			}
			if alive {
				threads[id] = use
			}
		}
	}
	if len(threads) == 0 {
		return nil, fmt.Errorf("processes %v have ended", pids)
	}
	return threads, nil
}

// Since is what has been used since before was read. What threads used that ended in
// between is not in it; runtimes keep theirs.
func (t Threads) Since(before Threads) Use {
	var sum Use
	for id, now := range t {
		then := before[id] // zero for a thread that is new
		sum.CPU += now.CPU - then.CPU
		sum.Switches += now.Switches - then.Switches
	}
	return sum
}

// thread reads one thread's use, unless it has ended.
func thread(dir string) (use Use, alive bool, err error) {
	schedstat, err := os.ReadFile(dir + "/schedstat")
	if err != nil {
		return Use{}, false, nil
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Use{}, false, nil
	}
	if use.CPU, err = parseSchedstat(string(schedstat)); err != nil {
		return Use{}, false, fmt.Errorf("%s: %w", dir, err)
	}
	for _, name := range []string{"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"} {
		n, err := statusField(string(status), name)
		if err != nil {
			return Use{}, false, fmt.Errorf("%s: %w", dir, err)
		}
		use.Switches += n
	}
	return use, true, nil
}

// parseSchedstat gives the time on a processor, in nanoseconds the first field.
func parseSchedstat(text string) (time.Duration, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return 0, fmt.Errorf("schedstat %q: want three fields", text)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("schedstat %q: %w", text, err)
	}
	return time.Duration(n), nil
}

// statusField gives a number of /proc/PID/status.
func statusField(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		fields := strings.Fields(value)
		if len(fields) == 0 {
			return 0, fmt.Errorf("status: %s is empty", name)
		}
		return strconv.ParseUint(fields[0], 10, 64)
	}
	return 0, fmt.Errorf("status: no %s", name)
}

// A Memory is what a process has in memory, in bytes.
type Memory struct {
	Resident, Peak uint64
}

// MemoryOf reads the memory of a process.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, err
	}
	resident, err := statusField(string(text), "VmRSS")
	if err != nil {
		return Memory{}, fmt.Errorf("process %d: %w", pid, err)
	}
	peak, err := statusField(string(text), "VmHWM")
	if err != nil {
		return Memory{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Memory{resident << 10, peak << 10}, nil
}
