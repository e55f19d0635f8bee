package sys

import "os"

// OpenProgram opens the file of the program that this process is, which the caller
// closes. Call it early: where the system has only its path, another program may have
// that later.
func OpenProgram() (*os.File, error) { return openProgram() }

// ProgramPath gives a path by which the program that fd is open of can be executed, by
// this process, whatever is by now where it was started from. temporary says that it is a
// file of its own, for the caller or for that program to remove.
func ProgramPath(fd int) (path string, temporary bool, err error) { return programPath(fd) }

// NameProcess has the system call this process by name in its lists, where it would
// otherwise be called by what ProgramPath gave.
func NameProcess(name string) { nameProcess(name) }
