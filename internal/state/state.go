// Package state is what a master leaves to the one after it: memory that a killed
// process leaves as it was, in a form that is good between any two stores.
//
// There is one Service, with all that has one writer and changes seldom, and one
// Worker for each worker, with what its channel has brought, the handoffs that are
// under way, and its listeners. Each is shared memory of its own, whose size stays;
// whoever keeps its descriptor keeps the state.
//
// # How it stays good
//
// A record has two slots. Save fills the one that is not read, with a number and a
// checksum, and then publishes it by one atomic store. A word alone is stored
// atomically. Bytes of a channel are read straight into Lines, which zeroes what it
// is done with: what has come ends at the first zero byte, wherever the process was
// killed, because no line of JSON has one. So a process may end between any two
// stores; what is lost by that is said at each method.
//
// Memory is not a disk: a machine that stops takes all of it along.
//
// # Ownership
//
// A Service or Worker owns its descriptor and its mapping until Close. It belongs to
// one goroutine, and to one process at a time.
//
// # Errors
//
// Open says what is wrong and gives nothing: *FormatError for the state of another
// version, which is never read; all others for bytes that are none of ours.
package state

import (
	"errors"
	"fmt"
	"strconv"
)

// format is of the layout, and of what the records mean. A master reads its own and
// no other. It is text, so that a test can build a master of another one.
var format = "1"

// Format is the number of the format that this program reads and writes.
func Format() uint32 {
	n, err := strconv.ParseUint(format, 10, 32)
	if err != nil {
		panic("state: format " + strconv.Quote(format))
	}
	return uint32(n)
}

// A FormatError is the state of a program of another version.
type FormatError struct{ Format uint32 }

func (e *FormatError) Error() string {
	return fmt.Sprintf("state of format %d, this version reads format %d", e.Format, Format())
}

// ErrTooLong is the error for a record that has no room.
var ErrTooLong = errors.New("state: the record is too long")

var errDamaged = errors.New("state: damaged")

func damaged(what string) error { return fmt.Errorf("%w: %s", errDamaged, what) }
