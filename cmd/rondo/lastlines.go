package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"time"

	"github.com/rondokit/rondo/internal/lastline"
)

// journalHint ends an error about a worker whose output went to the journal: the
// master cannot read it, and names the command that can.
var journalHint = regexp.MustCompile(`journalctl -t ([A-Za-z0-9][A-Za-z0-9._-]*/[0-9]+) -n ([0-9]+)(?:$|; )`)

const (
	journalTime  = time.Second            // for journald to write what it was sent, and for us to read it
	journalAgain = 100 * time.Millisecond // between looks
)

// withLastLines puts the line that tells why the worker ended in the place of the
// command that an error names, or before it if the command shows more: of what was
// written since the time since. Where nothing is to be read, or not by this user, the
// error stays.
func withLastLines(ctx context.Context, err error, since time.Time) error {
	text := err.Error()
	found := journalHint.FindStringSubmatchIndex(text)
	if found == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, journalTime)
	defer cancel()
	again := time.NewTicker(journalAgain)
	defer again.Stop()
	for {
		cmd := exec.CommandContext(ctx, "journalctl", "--no-pager", "-q", "-o", "cat", "--since", journalTimeOf(since),
			"-t", text[found[2]:found[3]], "-n", text[found[4]:found[5]])
		out, failed := cmd.Output()
		if failed != nil {
			return err
		}
		if line, more := lastline.Of(string(out)); line != "" {
			if more {
				line += " (the rest: " + text[found[0]:found[5]] + ")"
			}
			return errors.New(text[:found[0]] + line + text[found[5]:])
		}
		select {
		case <-again.C: // a worker's last words may be on their way
		case <-ctx.Done():
			return err
		}
	}
}

// journalTimeOf is a time as journalctl takes it: seconds with a fraction, where the
// journal counts in microseconds.
func journalTimeOf(t time.Time) string { return fmt.Sprintf("@%d.%06d", t.Unix(), t.Nanosecond()/1000) }
