// Command rondo runs a server as several workers behind sockets that the init
// system owns, and reloads them without losing a connection.
//
// The program is what stands around package master: flags and settings, signals,
// the service manager, the control socket, the log and tables for people.
//
// # Ownership
//
// The process: signal handlers are installed, descriptors of the init system
// taken, and the process exited nowhere else.
//
// # Errors
//
// A command fails by one line on standard error, which says what, where and what
// to do, and exits 1; or 2 when it was not understood. 0 is done. Under the journal
// the line is an entry of the app's, of priority err.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rondokit/rondo/internal/control"
)

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(rondo(os.Args[1:], os.Stdout, os.Stderr)) }

// rondo does what args say and returns the exit code.
func rondo(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitDone
	}
	if errors.Is(err, control.ErrNotYours) {
		err = fmt.Errorf("%w: %s", err, bySudo(os.Args))
	}
	lastWords(stderr, cmd.Name(), err)
	return exitCode(err)
}
