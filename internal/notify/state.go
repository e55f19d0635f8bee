package notify

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A State is one assignment of a message, or several that belong together, one a
// line: "READY=1".
type State string

const (
	// Ready ends the start, or the reload that Reloading began.
	Ready State = "READY=1"
	// Stopping begins the end of the service; from systemd 259 on nothing takes it back.
	Stopping State = "STOPPING=1"
	// Alive feeds the watchdog.
	Alive State = "WATCHDOG=1"
)

// Reloading begins a reload, now: send it at once, once. It carries the monotonic
// time, by which a manager that waits for a reload (Type=notify-reload) tells this
// one from an earlier one; without it, that wait does not end.
func Reloading() State {
	return State("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic().Microseconds(), 10))
}

// maxStatus bounds the text of a status, so that it never makes the message it is in
// too long.
const maxStatus = 1024

// Status is one line about the service for people; an empty one clears the last.
// Control characters, newlines among them, become spaces, bytes that are not UTF-8 are
// replaced, and a long text ends in "...": the manager would take a second line
// for another state, and drop the rest.
func Status(text string) State {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\r\n", " ")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // U+FFFD for what is not UTF-8
	}, text)
	if len(text) > maxStatus {
		// A rune that is cut in two goes.
		text = strings.ToValidUTF8(text[:maxStatus-len("...")], "") + "..."
	}
	return State("STATUS=" + text)
}

// ExtendTimeout asks that the current start, reload or stop may last for d from now
// on, where it would be over its time-out sooner. A d of 0 or less asks for nothing.
func ExtendTimeout(d time.Duration) State {
	return State("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(max(d, 0).Microseconds(), 10))
}
