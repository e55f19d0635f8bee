package proc

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Conditions tell whether a measurement was disturbed.
type Conditions struct {
	Load   float64 `json:"load"`   // the load average of the last minute, at the end
	Others float64 `json:"others"` // the share of all processors' time that others used
	Steal  float64 `json:"steal"`  // the share that the hypervisor withheld
}

// A Watch is over the machine while something is measured.
type Watch struct {
	began time.Time
	all   machine
	ours  time.Duration
}

// Begin starts a watch.
func Begin() (Watch, error) {
	all, ours, err := times()
	return Watch{time.Now(), all, ours}, err
}

// End gives what happened since Begin. This process and its descendants are not others.
func (w Watch) End() (Conditions, error) {
	all, ours, err := times()
	if err != nil {
		return Conditions{}, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return Conditions{}, err
	}
	c := Conditions{}
	if c.Load, err = parseLoad(string(load)); err != nil {
		return Conditions{}, err
	}
	total := float64(time.Since(w.began)) * float64(runtime.NumCPU())
	c.Others = min(max(0, float64(all.busy-w.all.busy-(ours-w.ours))/total), 1) // ticks are coarse
	c.Steal = float64(all.steal-w.all.steal) / total
	return c, nil
}

func times() (machine, time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, 0, err
	}
	all, err := parseMachine(string(text))
	if err != nil {
		return machine{}, 0, err
	}
	ours, err := family()
	return all, ours, err
}

// machine is the first line of /proc/stat.
type machine struct {
	busy, steal time.Duration // of all processors
}

func parseMachine(text string) (machine, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return machine{}, fmt.Errorf("stat %q: want the line cpu and eight numbers", line)
	}
	var times [8]time.Duration // user, nice, system, idle, iowait, irq, softirq, steal
	for i := range times {
		n, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return machine{}, fmt.Errorf("stat %q: %w", line, err)
		}
		times[i] = time.Duration(n) * tick
	}
	return machine{busy: times[0] + times[1] + times[2] + times[5] + times[6], steal: times[7]}, nil
}

// family is the processor time of this process and of all that descend from it,
// whether they still run or have been waited for.
func family() (time.Duration, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	var self, waited unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &self); err != nil {
		return 0, err
	}
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &waited); err != nil {
		return 0, err
	}
	sum := spent(self) + spent(waited)
	for _, pid := range descendants(all, os.Getpid()) {
		sum += all[pid].cpu
	}
	return sum, nil
}

func spent(use unix.Rusage) time.Duration {
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func parseLoad(text string) (float64, error) {
	first, _, _ := strings.Cut(text, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("loadavg %q: %w", text, err)
	}
	return load, nil
}
