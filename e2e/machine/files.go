//go:build linux

package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// WriteFile writes a file of the machine, and makes the directories to it. The
// mode is exact; the owner of a new file is root.
func (m *Machine) WriteFile(path string, mode fs.FileMode, text string) {
	m.t.Helper()
	err := m.inside(unix.CLONE_NEWNS, func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		m.t.Fatalf("machine: write a file: %v", err)
	}
}

// ReadFile reads a file of the machine.
func (m *Machine) ReadFile(path string) (string, error) {
	var text []byte
	err := m.inside(unix.CLONE_NEWNS, func() (err error) {
		text, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("machine: %w", err)
	}
	return string(text), nil
}

// Copy copies a file or a directory of this host to a path in the machine, where
// nothing may be yet, and makes the directories to it. Permissions are kept; the
// owner is root.
func (m *Machine) Copy(here, there string) {
	m.t.Helper()
	if err := m.copy(here, there); err != nil {
		m.t.Fatalf("machine: copy %s: %v", here, err)
	}
}

func (m *Machine) copy(here, there string) error {
	info, err := os.Stat(here)
	if err != nil {
		return err
	}
	// What is opened here stays open there: the paths of this host are not there.
	if info.IsDir() {
		from, err := os.OpenRoot(here)
		if err != nil {
			return err
		}
		defer from.Close()
		return m.inside(unix.CLONE_NEWNS, func() error {
			if err := os.CopyFS(there, from.FS()); err != nil {
				return err
			}
			return fs.WalkDir(from.FS(), ".", func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.Type()&fs.ModeSymlink != 0 {
					return err
				}
				return chmodLike(filepath.Join(there, path), d)
			})
		})
	}
	from, err := os.Open(here)
	if err != nil {
		return err
	}
	defer from.Close()
	return m.inside(unix.CLONE_NEWNS, func() error {
		if err := os.MkdirAll(filepath.Dir(there), 0o755); err != nil {
			return err
		}
		to, err := os.OpenFile(there, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return errors.Join(err, to.Close(), chmodLike(there, fs.FileInfoToDirEntry(info)))
	})
}

// chmodLike gives a copy the permissions of the original, whatever the umask.
func chmodLike(path string, original fs.DirEntry) error {
	info, err := original.Info()
	if err != nil {
		return err
	}
	return os.Chmod(path, info.Mode().Perm())
}
