//go:build faults

package fault

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	mu     sync.Mutex // guards passed
	passed = map[string]int{}
)

// At is a point at which a test may have something happen.
func At(point string) {
	file := os.Getenv("RONDO_FAULT_FILE")
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	var how string
	var skip int
	line := strings.TrimSpace(string(text))
	if _, err := fmt.Sscan(line, &how, &skip); err != nil {
		panic("fault: " + line)
	}
	if _, wanted, _ := strings.Cut(line, fmt.Sprintf("%s %d ", how, skip)); wanted != point {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	if passed[line]++; passed[line] <= skip {
		return
	}
	delete(passed, line)
	if os.Remove(file) != nil {
		return // another thread was first
	}
	act(how, point)
}

func act(how, point string) {
	switch how {
	case "kill":
		syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {} // until it is
	case "stop":
		syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	case "panic":
		panic("fault: at " + point)
	case "exit":
		os.Exit(3)
	default:
		d, err := time.ParseDuration(how)
		if err != nil {
			panic("fault: " + how)
		}
		time.Sleep(d)
	}
}
