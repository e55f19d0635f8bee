package install

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rondokit/rondo/units"
)

// A file is one that is there, or is to be.
type file struct {
	path string
	text string
	mode fs.FileMode
}

const fileMode = 0o644 // they have no secrets

// read gives the file at path, or nil when there is none.
func read(path string) (*file, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a link to /dev/null, which masks a unit, or into a package
		return &file{path: path, mode: info.Mode()}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &file{path, string(text), info.Mode().Perm()}, nil
}

// header tells who wrote f.
func (f *file) header() (h units.Header, ours bool) { return units.File{Text: f.text}.Header() }

func (f *file) ours() bool { _, ours := f.header(); return ours }

func (f *file) edited() bool { h, ours := f.header(); return ours && h.Edited }

// masks says whether f is the link by which systemctl masks a unit.
func (f *file) masks() bool {
	target, err := os.Readlink(f.path)
	return err == nil && target == os.DevNull
}

// body is the text without the first line if that is rondo's: it names the version,
// and a new version alone is no change.
func (f *file) body() string { return units.File{Text: f.text}.Body() }

// wrote says whether rondo wrote just what other is, whatever became of it since.
func (f *file) wrote(other *file) bool {
	first := strings.TrimSuffix(f.text, f.body())
	h, ours := units.File{Text: first + other.body()}.Header()
	return ours && !h.Edited
}

// key gives the value of the last line KEY=VALUE, or "".
func (f *file) key(name string) (value string) {
	for line := range strings.Lines(f.text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			value = v
		}
	}
	return value
}

// sealed puts the first line before text, as units has it.
func sealed(version, text string) string {
	return fmt.Sprintf("# rondo %s sha256=%x\n%s", version, sha256.Sum256([]byte(text)), text)
}

// write puts f in its place at once and for good: whoever reads it, also after a
// crash, finds all of it or what was there before.
func (f *file) write() error {
	dir := filepath.Dir(f.path)
	temp, err := os.CreateTemp(dir, ".rondo-*")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(f.text)
	if err == nil {
		err = temp.Chmod(f.mode)
	}
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDirectory(dir)
}

// remove removes the file at path. One that is not there is removed.
func remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // which a read-only file system does not tell
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// directoryMode is that of directories of files: of a user's, as the XDG base
// directories are to be made.
func (m *Machine) directoryMode() fs.FileMode {
	if m.user() {
		return 0o700
	}
	return 0o755
}

// makeDirectories makes dir and what is missing above it, and gives what it made,
// the outermost first, also with an error.
func makeDirectories(dir string, mode fs.FileMode) (made []string, err error) {
	var missing []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		missing = append(missing, d)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], mode); err != nil {
			return made, err
		}
		made = append(made, missing[i])
	}
	return made, nil
}

// removeIfEmpty removes a directory without anything in it.
func removeIfEmpty(dir string) (removed bool) {
	return dir != "" && os.Remove(dir) == nil // a directory with something in it refuses
}
