package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rondokit/rondo/internal/settings"
)

const socketName = "control.sock"

// LaunchdDirectory is where launchd's jobs of the system have their control sockets, each
// below its NAME: rondo install makes that, and tells the job by $RUNTIME_DIRECTORY.
const LaunchdDirectory = "/usr/local/var/run/rondo"

// Path returns where the control socket of the service name is, for a master in
// this environment, and makes the directories that lead there.
//
// A directory that systemd made ($RUNTIME_DIRECTORY) is taken as it is. One of
// ours has mode 0700, and is refused when it is a symbolic link, another user's,
// or writable for others: in a shared /tmp somebody may have been there first.
func Path(name string) (string, error) {
	if err := settings.CheckName(name); err != nil {
		return "", fmt.Errorf("control socket: %w", err)
	}
	if dir := runtimeDirectory(); dir != "" {
		return filepath.Join(dir, socketName), nil
	}
	if base := userDirectory(); base != "" {
		dir := filepath.Join(base, "rondo")
		return privateSocket(dir, filepath.Join(dir, name))
	}
	dir := TempDirectory()
	return privateSocket(dir, filepath.Join(dir, name))
}

// privateSocket makes each directory private, and returns the socket's path in
// the last.
func privateSocket(dirs ...string) (string, error) {
	for _, dir := range dirs {
		if err := makePrivate(dir); err != nil {
			return "", fmt.Errorf("control socket: %w", err)
		}
	}
	return filepath.Join(dirs[len(dirs)-1], socketName), nil
}

func makePrivate(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return checkPrivate(dir)
}

func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch owner := ownerOf(info); {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link: remove it", dir)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory: remove it", dir)
	case owner != os.Getuid():
		return fmt.Errorf("%s belongs to uid %d and not to us, uid %d: remove it, or set XDG_RUNTIME_DIR", dir, owner, os.Getuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s is writable for others (mode %04o): chmod 0700 it", dir, info.Mode().Perm())
	}
	return nil
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// runtimeDirectory is the first directory of RuntimeDirectory=, or "".
func runtimeDirectory() string {
	dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	return dir
}

// userDirectory is $XDG_RUNTIME_DIR, or "" where that is nobody's or another
// user's: su and sudo often leave the caller's there.
func userDirectory() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return ""
	}
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() || ownerOf(info) != os.Getuid() {
		return ""
	}
	return dir
}

// TempDirectory is where the masters of this user have their control sockets that know
// of no other place, each below its NAME.
func TempDirectory() string {
	return filepath.Join(os.TempDir(), "rondo-"+strconv.Itoa(os.Getuid()))
}
