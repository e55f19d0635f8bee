// Package launchctl runs launchctl, by which a person and a program tell launchd of jobs.
//
// A job is known by its label within a domain: the system's, or that of the user who is
// logged in. launchctl answers by exit codes and in words for people, and this package
// knows as much of both as was written about them: it has met no launchd yet.
//
// # Ownership
//
// Nothing is kept between calls. A process that a call starts has ended when it returns.
//
// # Errors
//
// ErrAbsent where there is no launchctl. What launchctl refuses is an [*Error], with
// its code and its words.
package launchctl

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Domain is where launchd has a job.
type Domain string

// System is the domain of jobs that need nobody to be logged in; only root changes it.
const System Domain = "system"

// GUI is the domain of a user who is logged in at the screen.
func GUI(uid int) Domain { return Domain("gui/" + strconv.Itoa(uid)) }

// Target names a job, like system/rondo.app.
func (d Domain) Target(label string) string { return string(d) + "/" + label }

// ErrAbsent is the error of all calls where launchctl is not in PATH.
var ErrAbsent = errors.New("this machine has no launchd: launchctl is not in PATH")

// Check is ErrAbsent where launchctl is not in PATH.
func Check() error {
	if _, err := exec.LookPath("launchctl"); err != nil {
		return ErrAbsent
	}
	return nil
}

// An Error is what launchctl refused.
type Error struct {
	Args []string // of launchctl
	Code int      // its exit code
	Text string   // what it said
}

func (e *Error) Error() string {
	return fmt.Sprintf("launchctl %s: %s (exit code %d)", strings.Join(e.Args, " "), e.Text, e.Code)
}

// The exit codes that are no failure, or not of us.
const (
	noSuchProcess = 3   // of bootout: launchd does not have the job
	inProgress    = 36  // of bootout: the job has not ended yet
	notFound      = 113 // of print: launchd does not have the job
)

// Bootstrapping are the arguments by which launchd takes the job of the property list
// at path, and opens its sockets.
func (d Domain) Bootstrapping(path string) []string {
	return []string{"bootstrap", string(d), path}
}

// Bootingout are those by which it closes the job's sockets, and ends the job.
func (d Domain) Bootingout(label string) []string { return []string{"bootout", d.Target(label)} }

// Printing are those by which it tells of the job.
func (d Domain) Printing(label string) []string { return []string{"print", d.Target(label)} }

// Bootstrap has launchd take the job of the property list at path. One that it has
// already is an error.
func (d Domain) Bootstrap(ctx context.Context, path string) error {
	_, err := run(ctx, d.Bootstrapping(path))
	return err
}

// Bootout has launchd close the sockets of a job, end it and forget it. The job may take
// its time, and is there until AwaitEnd returns. One that launchd does not have is no
// error.
func (d Domain) Bootout(ctx context.Context, label string) error {
	_, err := run(ctx, d.Bootingout(label))
	if wrong, ok := errors.AsType[*Error](err); ok && (wrong.Code == noSuchProcess || wrong.Code == inProgress) {
		return nil
	}
	return err
}

// lookAgain is between looks at a job that is to end.
const lookAgain = 100 * time.Millisecond

// AwaitEnd waits until launchd does not have a job any more. If ctx ends first, that is
// the error.
func (d Domain) AwaitEnd(ctx context.Context, label string) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		if job, err := d.Print(ctx, label); err != nil || job == nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%s has not ended: %w", d.Target(label), context.Cause(ctx))
		}
	}
}

// Print gives what launchd tells of a job, or nil if it does not have it.
func (d Domain) Print(ctx context.Context, label string) (*Job, error) {
	text, err := run(ctx, d.Printing(label))
	if wrong, ok := errors.AsType[*Error](err); ok && wrong.Code == notFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parse(text), nil
}

// run runs launchctl and gives what it printed.
func run(ctx context.Context, args []string) (string, error) {
	path, err := exec.LookPath("launchctl")
	if err != nil {
		return "", ErrAbsent
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch ended, is := errors.AsType[*exec.ExitError](err); {
	case ctx.Err() != nil:
		return "", fmt.Errorf("launchctl %s: %w", strings.Join(args, " "), context.Cause(ctx))
	case is && ended.Exited():
		return "", &Error{args, ended.ExitCode(), said(stderr.String(), string(out))}
	case err != nil:
		return "", fmt.Errorf("launchctl %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// said is the first line of what a program wrote to either, or that it wrote nothing.
func said(outputs ...string) string {
	for _, text := range outputs {
		if line, _, _ := strings.Cut(strings.TrimSpace(text), "\n"); line != "" {
			return line
		}
	}
	return "it said nothing"
}
