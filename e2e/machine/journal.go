//go:build linux

package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is an entry of a journal.
type Entry struct {
	Time       time.Time
	Boot       string
	Priority   int    // of syslog: 0 to 7, 4 is WARNING
	Unit       string // that wrote it, or that the manager wrote about
	Identifier string // as of journalctl -t
	PID        int
	Message    string
	Fields     map[string]string // all of them, of one given twice the first
}

func (e Entry) String() string {
	return fmt.Sprintf("<%d> %s: %s", e.Priority, e.Identifier, e.Message)
}

// Filter says which entries of a journal are wanted; its zero value wants all, of
// every boot.
type Filter struct {
	Unit       string   // of the system's manager
	UserUnit   string   // of a user's
	Identifier string   // exactly
	Priority   string   // this and worse, as of journalctl -p: "warning", "3"
	Boot       string   // as of journalctl -b: "0" is this one
	Match      []string // FIELD=value
}

func (f Filter) args() []string {
	args := []string{"journalctl", "--no-pager", "--all", "--output=json"}
	for _, o := range []struct{ option, value string }{
		{"--unit=", f.Unit}, {"--user-unit=", f.UserUnit}, {"--identifier=", f.Identifier},
		{"--priority=", f.Priority}, {"--boot=", f.Boot},
	} {
		if o.value != "" {
			args = append(args, o.option+o.value)
		}
	}
	return append(args, f.Match...)
}

// Journal reads the journal, with all that was written before the call. It can be
// read when the machine is off too.
func (m *Machine) Journal(f Filter) []Entry {
	m.t.Helper()
	entries, err := m.journal(f)
	if err != nil {
		m.t.Fatal(err)
	}
	return entries
}

func (m *Machine) journal(f Filter) ([]Entry, error) {
	read := m.Run
	if m.boot.Load() == nil {
		read = m.runOff
	} else if _, err := m.Run("journalctl", "--sync"); err != nil {
		return nil, err
	}
	text, err := read(f.args()...)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for line := range strings.Lines(text) {
		e, err := parseEntry(line)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// runOff runs a command on the disk of a machine that is off.
func (m *Machine) runOff(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/"+args[0], args[1:]...)
	cmd.Env = []string{"LANG=C.UTF-8"}
	return finish(cmd, args, func(cmd *exec.Cmd) error { return m.inside(unix.CLONE_NEWNS, cmd.Start) })
}

// AwaitEntry waits until the journal has an entry as wanted, from the first on,
// and gives it.
func (m *Machine) AwaitEntry(f Filter, is func(Entry) bool) Entry {
	m.t.Helper()
	p := m.Start(Command{Args: append(f.args(), "--follow", "--lines=all")})
	defer p.kill()
	var found Entry
	p.Line(func(line string) bool {
		e, err := parseEntry(line)
		if err != nil {
			m.t.Fatal(err)
		}
		found = e
		return is(e)
	})
	return found
}

// parseEntry reads an entry as journalctl -o json writes it.
func parseEntry(line string) (Entry, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &raw); err != nil {
		return Entry{}, fmt.Errorf("machine: journal entry %q: %w", line, err)
	}
	e := Entry{Fields: make(map[string]string, len(raw)), Priority: 6} // as journald has it
	for name, value := range raw {
		text, err := parseField(value)
		if err != nil {
			return Entry{}, fmt.Errorf("machine: journal field %s of %q: %w", name, line, err)
		}
		e.Fields[name] = text
	}
	e.Message, e.Identifier, e.Boot = e.Fields["MESSAGE"], e.Fields["SYSLOG_IDENTIFIER"], e.Fields["_BOOT_ID"]
	for _, name := range []string{"UNIT", "USER_UNIT", "_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT"} {
		if e.Unit = e.Fields[name]; e.Unit != "" {
			break
		}
	}
	if p, err := strconv.Atoi(e.Fields["PRIORITY"]); err == nil {
		e.Priority = p
	}
	e.PID, _ = strconv.Atoi(e.Fields["_PID"]) // the kernel's have none
	us, _ := strconv.ParseInt(e.Fields["__REALTIME_TIMESTAMP"], 10, 64)
	e.Time = time.UnixMicro(us)
	return e, nil
}

// parseField reads a value: text, or bytes if it is not UTF-8, or a list of them
// if the field was given more than once.
func parseField(value json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(value, &text) == nil { // null too, for what is too large
		return text, nil
	}
	var numbers []int
	if json.Unmarshal(value, &numbers) == nil {
		b := make([]byte, len(numbers))
		for i, n := range numbers {
			b[i] = byte(n)
		}
		return string(b), nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", nil
	}
	return parseField(list[0])
}
