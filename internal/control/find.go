package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"golang.org/x/sys/unix"
)

// ErrNotYours is the error of Find when only another user, or root, may give the
// master orders.
var ErrNotYours = errors.New("is another user's")

// askName bounds how long one of several masters is asked for its name.
const askName = 2 * time.Second

// Find returns the running master called name. A name with a slash is the path
// of a control socket; an empty one means the only master that runs.
//
// The socket in $RUNTIME_DIRECTORY, which is our own unit's, is taken first when
// it is name's, so that no other user's master of the same name can get between.
// Then come the places of this user, those of the system's units and, for root,
// those of every user: of two with one name, neither is taken.
func Find(ctx context.Context, name string) (*Caller, error) {
	if strings.Contains(name, "/") {
		return At(name), nil
	}
	if name != "" {
		if err := settings.CheckName(name); err != nil {
			return nil, err
		}
	}
	if dir := runtimeDirectory(); dir != "" {
		own := At(filepath.Join(dir, socketName))
		if calledName(ctx, own, name) {
			return own, nil
		}
	}
	found, looked, err := search(orAny(name))
	if err != nil && len(found) == 0 {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, notRunning(name, looked)
	case 1:
		return At(found[0]), nil
	default:
		return nil, ambiguous(name, found)
	}
}

// calledName says whether the master of c answers, and by this name.
func calledName(ctx context.Context, c *Caller, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, askName)
	defer cancel()
	who, err := c.identity(ctx)
	return err == nil && (name == "" || who.Name == name)
}

func orAny(name string) string {
	if name == "" {
		return "*"
	}
	return name
}

// patterns are the places of control sockets, for filepath.Match.
func patterns(name string) []string {
	var list []string
	if dir := userDirectory(); dir != "" {
		list = append(list, filepath.Join(dir, "rondo", name, socketName))
	}
	list = append(list,
		filepath.Join(TempDirectory(), name, socketName),
		filepath.Join(systemDirectory, name, socketName))
	if os.Getuid() == 0 {
		list = append(list, filepath.Join("/run/user/*/rondo", name, socketName))
	}
	return list
}

// search returns the sockets on which somebody listens, each once, and where it
// looked. The error tells of one that is there and may not be used.
func search(name string) (found, looked []string, err error) {
	looked = patterns(name)
	for _, pattern := range looked {
		paths, _ := filepath.Glob(pattern) // a bad pattern finds nothing
		for _, path := range paths {
			switch refused := connectable(path); {
			case errors.Is(refused, fs.ErrPermission):
				err = fmt.Errorf("%s %w", path, ErrNotYours)
			case refused == nil && !slices.ContainsFunc(found, sameAs(path)):
				found = append(found, path)
			}
		}
	}
	return found, looked, err
}

// connectable says whether somebody listens on path. A socket reached over a
// link is passed over: root must not be led to another master than it named.
func connectable(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fs.ErrNotExist
	}
	listening, err := At(path).peer()
	switch uid := os.Getuid(); {
	case errors.Is(err, unix.EAGAIN):
		return nil // its backlog is full
	case err == nil && uid != 0 && listening.uid != uid && listening.uid != 0:
		return fs.ErrPermission // somebody else's trap in a shared directory
	default:
		return err
	}
}

// sameAs finds the socket at path under another of its names: a name of the
// directory for temporary files, /run and /var/run.
func sameAs(path string) func(string) bool {
	info, err := os.Stat(path)
	return func(other string) bool {
		known, err2 := os.Stat(other)
		return err == nil && err2 == nil && os.SameFile(info, known)
	}
}

func notRunning(name string, looked []string) error {
	what := "no rondo is running"
	if name != "" {
		what = fmt.Sprintf("no rondo %q is running", name)
	}
	return absent{fmt.Errorf("%s: looked at %s", what, strings.Join(looked, ", "))}
}

// NotRunning says whether err is of a Find that found no master.
func NotRunning(err error) bool {
	_, ok := errors.AsType[absent](err)
	return ok
}

type absent struct{ error }

func (a absent) Unwrap() error { return a.error }

func ambiguous(name string, found []string) error {
	if name != "" {
		return fmt.Errorf("more than one rondo %q is running: give the socket for the name: %s", name, strings.Join(found, ", "))
	}
	names := namesOf(found)
	if len(slices.Compact(slices.Clone(names))) < len(names) {
		names = found
	}
	return fmt.Errorf("more than one rondo is running: say which: %s", strings.Join(names, ", "))
}

// FindAll returns every running master that this user may give orders to. The error
// is of one that is another user's, where there is no other one.
func FindAll() ([]*Caller, error) {
	found, _, err := search("*")
	if len(found) == 0 {
		return nil, err
	}
	var all []*Caller
	for _, path := range found {
		all = append(all, At(path))
	}
	return all, nil
}

// Names are those of the masters that Find finds, sorted. It asks none of them.
func Names() []string {
	found, _, _ := search("*") // without those that are not this user's
	return slices.Compact(namesOf(found))
}

// namesOf are those that the paths of sockets have, sorted.
func namesOf(paths []string) []string {
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = filepath.Base(filepath.Dir(path))
	}
	slices.Sort(names)
	return names
}
