package launchctl

import (
	"strconv"
	"strings"
)

// Job is what launchd tells of a job. What it does not tell is at its zero value.
type Job struct {
	Path  string // of the property list that it was read from
	State string // like "running" or "not running"
	PID   int
	Runs  int // how often it was started
	// LastExit is how the last of them ended, as "78: EX_CONFIG", LastCode its code.
	LastExit string
	LastCode int
}

// Running says whether the job has a process.
func (j *Job) Running() bool { return j.PID > 0 || j.State == "running" }

// parse reads what print has of the job itself: what is indented further is of its
// sockets and the like, which have keys of the same names.
func parse(text string) *Job {
	j := new(Job)
	depth := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, " = ")
		switch {
		case strings.HasSuffix(line, "{"):
			depth++
		case line == "}":
			depth--
		case ok && depth == 1:
			j.set(key, value)
		}
	}
	return j
}

func (j *Job) set(key, value string) {
	switch key {
	case "path":
		j.Path = value
	case "state":
		j.State = value
	case "pid":
		j.PID, _ = strconv.Atoi(value) // 0 of what is no number
	case "runs":
		j.Runs, _ = strconv.Atoi(value)
	case "last exit code": // "0", "78: EX_CONFIG" or "(never exited)"
		j.LastExit = value
		code, _, _ := strings.Cut(value, ":")
		j.LastCode, _ = strconv.Atoi(code)
	}
}
