package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/internal/settings"
)

// lastWords tells why a command failed, in one line. Under the journal that is an
// entry like those of the log: as output it would be of rondo, and no error.
func lastWords(stderr io.Writer, command string, err error) {
	tell(stderr, journal.PriErr, identifier(err), oneLine(err), saidAtTheEnd, saidBy+command)
}

// warn tells what an app's command does without, in one line.
func warn(stderr io.Writer, name string, err error) {
	tell(stderr, journal.PriWarning, name, oneLine(err))
}

func tell(stderr io.Writer, priority journal.Priority, identifier, line string, fields ...string) {
	if stderr != io.Writer(os.Stderr) || !underJournal() || tellJournal(priority, identifier, line, fields) != nil {
		fmt.Fprintln(stderr, "rondo:", line)
	}
}

// The fields that tell such an entry from those of a master's log, and one start of
// a unit from another: the journal knows the invocation of the system's units alone.
const (
	saidAtTheEnd = "RONDO_SAID=end"
	saidBy       = "RONDO_COMMAND="
	saidByRun    = saidBy + "run"
	saidIn       = "RONDO_INVOCATION="
)

const (
	journalEntries = "/run/systemd/journal/socket"
	entryTaken     = time.Second          // for journald to take an entry
	entryAgain     = 5 * time.Millisecond // between looks whether it has
)

// tellJournal sends an entry and waits until journald has taken it: whose unit it
// is of it looks up in /proc, where this process is about to end.
func tellJournal(priority journal.Priority, identifier, line string, fields []string) error {
	c, err := net.Dial("unixgram", journalEntries)
	if err != nil {
		return err
	}
	defer c.Close()
	fields = append([]string{fmt.Sprintf("PRIORITY=%d", priority), "SYSLOG_IDENTIFIER=" + identifier, saidIn + os.Getenv("INVOCATION_ID"), "MESSAGE=" + line}, fields...)
	entry := strings.Join(fields, "\n") + "\n"
	if _, err := io.WriteString(c, entry); err != nil {
		return err
	}
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil // it is sent
	}
	for limit := time.Now().Add(entryTaken); time.Now().Before(limit); time.Sleep(entryAgain) {
		waiting := 0
		_ = raw.Control(func(fd uintptr) { waiting, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		if waiting == 0 {
			break
		}
	}
	return nil
}

// appError is an error of one app.
type appError struct {
	name string
	error
}

func (e appError) Unwrap() error { return e.error }

// of says which app err is of, if name is an app's. No error stays none.
func of(name string, err error) error {
	if err == nil || settings.CheckName(name) != nil {
		return err
	}
	return appError{name, err}
}

// identifier is whom the journal has err of.
func identifier(err error) string {
	if app, ok := errors.AsType[appError](err); ok {
		return app.name
	}
	return "rondo"
}
