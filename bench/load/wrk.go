package load

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed wrk.lua
var wrkScript string

// Closed is a closed loop: each of a number of clients sends its next request when it
// has the answer to the last.
type Closed struct {
	Connections Connections
	Clients     int // 0 means 64
	For         time.Duration
}

// Closings is what a closed loop got: of a very short one, perhaps no answer.
type Closings struct {
	Requests int
	Took     time.Duration
	CPU      time.Duration // of the client
}

// Rate is in requests per second.
func (c Closings) Rate() float64 { return float64(c.Requests) / c.Took.Seconds() }

// wrkOutput is what wrk.lua prints.
type wrkOutput struct {
	Requests   int `json:"requests"`
	DurationUS int `json:"duration_us"`
	Errors     struct {
		Connect int `json:"connect"`
		Read    int `json:"read"`
		Write   int `json:"write"`
		Status  int `json:"status"`
		Timeout int `json:"timeout"`
	} `json:"errors"`
}

// wrk counts in whole seconds, so it is interrupted long before never. Its time-out of
// requests is above any run; for each microsecond of it wrk takes eight bytes.
const (
	never   = "3600s"
	timeout = "30s"
)

// Run runs wrk against address. A request that is not answered well is an error; one
// that is not answered at all is not counted.
func (l Closed) Run(ctx context.Context, address string) (Closings, error) {
	script, err := os.CreateTemp("", "wrk-*.lua")
	if err != nil {
		return Closings{}, err
	}
	defer os.Remove(script.Name())
	_, err = script.WriteString(wrkScript)
	if err := errors.Join(err, script.Close()); err != nil {
		return Closings{}, err
	}
	clients := l.Clients
	if clients == 0 {
		clients = 64
	}
	args := []string{"-t", strconv.Itoa(max(1, runtime.NumCPU()/2)), "-c", strconv.Itoa(clients),
		"-d", never, "--timeout", timeout, "-s", script.Name()}
	if l.Connections == PerRequest {
		args = append(args, "-H", closeHeader)
	}
	wrk := exec.Command("wrk", append(args, "http://"+address+"/")...)
	out, err := interrupted(ctx, l.For, wrk)
	if err != nil {
		return Closings{}, err
	}
	got, err := parseWrk(out)
	got.CPU = wrk.ProcessState.UserTime() + wrk.ProcessState.SystemTime()
	return got, err
}

// interrupted runs a program until so long after it began to expect an interrupt, and
// gives its output.
func interrupted(ctx context.Context, long time.Duration, c *exec.Cmd) ([]byte, error) {
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }() // ends with the program
	stop := time.NewTimer(time.Hour)
	defer stop.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if catchesInterrupt(c.Process.Pid) {
				look.Stop()
				stop.Reset(long)
			}
		case <-stop.C:
			c.Process.Signal(os.Interrupt)
		case <-ctx.Done():
			c.Process.Kill()
			<-ended
			return nil, context.Cause(ctx)
		case err := <-ended:
			if err != nil {
				return nil, fmt.Errorf("%s: %w: %s", c.Path, err, strings.TrimSpace(errs.String()))
			}
			return out.Bytes(), nil
		}
	}
}

// catchesInterrupt tells whether a process has a handler for SIGINT.
func catchesInterrupt(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // of one that has ended, nothing
	_, rest, _ := strings.Cut(string(text), "\nSigCgt:")
	mask, _, _ := strings.Cut(rest, "\n")
	caught, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
	return err == nil && caught&(1<<(syscall.SIGINT-1)) != 0
}

// parseWrk reads the line of wrk.lua in wrk's output.
func parseWrk(out []byte) (Closings, error) {
	start := bytes.LastIndex(out, []byte("\n{"))
	if start < 0 {
		return Closings{}, fmt.Errorf("wrk printed no summary: %q", out)
	}
	var w wrkOutput
	if err := json.NewDecoder(bytes.NewReader(out[start:])).Decode(&w); err != nil {
		return Closings{}, fmt.Errorf("wrk: %w: %q", err, out)
	}
	if e := w.Errors; e.Connect+e.Read+e.Write+e.Status+e.Timeout > 0 {
		return Closings{}, fmt.Errorf("wrk: of %d requests failed: connect %d, read %d, write %d, status %d, timeout %d",
			w.Requests, e.Connect, e.Read, e.Write, e.Status, e.Timeout)
	}
	if w.DurationUS == 0 {
		return Closings{}, fmt.Errorf("wrk ran for no time: %q", out)
	}
	return Closings{Requests: w.Requests, Took: time.Duration(w.DurationUS) * time.Microsecond}, nil
}
