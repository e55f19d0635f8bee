package ledger

import (
	"fmt"
	"time"
)

// Class is how one attempt ended.
type Class string

const (
	Answered   Class = "answered"
	ClosedIdle Class = "closed_idle" // kept connection, no byte of the next answer
	Cut        Class = "cut"         // ended by drain-timeout: see Config.Cut

	// Lost, all of them.
	Refused     Class = "refused"      // no connection
	DialTimeout Class = "dial_timeout" // no connection within Config.DialTimeout
	Dropped     Class = "dropped"      // EOF or reset on a new connection, no byte
	Broken      Class = "broken"       // EOF or reset after any byte of the answer
	InFlight    Class = "in_flight"    // looked closed-idle, but see Config.Served
	Hung        Class = "hung"         // no whole answer within Config.Hang
	BadStatus   Class = "bad_status"   // a whole answer, but not 2xx
	WrongID     Class = "wrong_id"     // an answer to something else
	Malformed   Class = "malformed"    // not HTTP, or an answer without a length

	// Twice is no end of an attempt, but more than one answer to it. It is counted
	// beside the books.
	Twice Class = "twice"
)

// lostClasses is the order in which they are reported.
var lostClasses = [...]Class{
	Refused, DialTimeout, Dropped, Broken, InFlight, Hung, BadStatus, WrongID, Malformed,
}

// Lost reports whether an attempt of class c is lost.
func (c Class) Lost() bool {
	for _, lost := range lostClasses {
		if c == lost {
			return true
		}
	}
	return false
}

// Who is who answered, in its own words; zero where it did not say.
type Who struct {
	Worker     int
	PID        int
	Generation int
}

func (w Who) String() string {
	if w == (Who{}) {
		return "unnamed"
	}
	return fmt.Sprintf("worker %d (pid %d, generation %d)", w.Worker, w.PID, w.Generation)
}

// Failure is an attempt that was not answered as it should.
type Failure struct {
	ID    string
	Class Class
	// Who answered, if the head of the answer was seen; else who answered last on
	// the connection.
	Who            Who
	Started, Ended time.Time

	Local   string        // our end of the connection; a unix one has no name
	ConnAge time.Duration // at the end; zero if there was none
	Before  int           // whole answers on the connection before
	Bytes   int64         // seen of the answer
	Err     error         // what the socket, or the answer, said
}

func (f Failure) String() string {
	at := "no connection"
	if f.ConnAge > 0 {
		at = fmt.Sprintf("%s, %v old, %d answers before", f.Local, f.ConnAge.Round(time.Microsecond), f.Before)
	}
	return fmt.Sprintf("%s %s after %v, %d bytes (%s; %s): %v",
		f.ID, f.Class, f.Ended.Sub(f.Started).Round(time.Microsecond), f.Bytes, at, f.Who, f.Err)
}
