//go:build !linux || portable

package sys

// Elsewhere a program is executed by its path alone, so one whose file has no path any
// more is copied. The copy is in a directory of this user's alone.

import (
	"io"
	"math"
	"os"
	"path/filepath"
)

func openProgram() (*os.File, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func programPath(fd int) (path string, temporary bool, err error) {
	dup, err := Dup(fd)
	if err != nil {
		return "", false, err
	}
	from := NewFile(dup, "program")
	defer from.Close()
	dir, err := os.MkdirTemp("", "rondo-program-")
	if err != nil {
		return "", false, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	path = filepath.Join(dir, "rondo")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return "", false, err
	}
	defer to.Close()
	if _, err = io.Copy(to, io.NewSectionReader(from, 0, math.MaxInt64)); err != nil { // whoever else has it has the same offset
		return "", false, err
	}
	return path, true, to.Close()
}

func nameProcess(string) {} // it is called as the file of the program
