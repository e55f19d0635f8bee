package sys

import "strings"

// maxPath is the longest path that the address of a unix socket holds, with its final
// zero: 108 bytes on Linux, 104 on macOS (unix(7), sun_path).
const maxPath = maxSunPath - 1

// ShortPath gives a path for a unix socket that its address has room for, which means the
// same file as path until release is called; that path itself, if it is short enough. The
// error is ENAMETOOLONG where there is none.
func ShortPath(path string) (short string, release func(), err error) {
	if len(path) <= maxPath || strings.HasPrefix(path, "@") {
		return path, func() {}, nil
	}
	return shortPath(path)
}
