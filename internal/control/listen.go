package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// askRunning bounds how long a master that may hang is asked who it is.
const askRunning = time.Second

// A Listener is the control socket of one master, and the lock beside it that
// keeps a second master of the same place away.
type Listener struct {
	socket *net.UnixListener
	lock   *os.File
	close  func() error
}

// Listen gives the control socket at path, in a directory that exists. A socket
// that a dead master left there is replaced; while a live one has it, the error
// says its pid. Of two masters that start at once, one gets it.
func Listen(ctx context.Context, path string) (*Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket: %s is %d bytes long, and a socket's path has %d at most: set a shorter name, or XDG_RUNTIME_DIR", path, len(path), maxSocketPath)
	}
	lock, err := lockFile(path + ".lock")
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, running(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	socket, err := replace(ctx, path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	l := &Listener{socket: socket, lock: lock}
	l.close = sync.OnceValue(func() error {
		// The lock goes last: until then nobody else's socket is at path.
		err := l.socket.Close()
		if errors.Is(err, net.ErrClosed) {
			err = nil // by the Server, to end its accept
		}
		return errors.Join(err, l.lock.Close())
	})
	return l, nil
}

// Close removes the socket and lets the lock go. The lock's file stays: with it
// gone, a third master could lock a new file while a second holds the old one.
func (l *Listener) Close() error { return l.close() }

// lockFile gives the locked file at path, made when it is not there. The error
// is EWOULDBLOCK when another process has it locked.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// replace gives the socket at path in place of one that nobody listens on.
func replace(ctx context.Context, path string) (*net.UnixListener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("control socket: %s is not a socket: remove it", path)
	default:
		if !abandoned(path) {
			return nil, running(ctx, path) // its lock file was removed under it
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	return bind(ctx, path)
}

// abandoned says whether nobody listens on the socket at path. A full backlog
// (EAGAIN) is somebody.
func abandoned(path string) bool {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// bind gives a socket at path that only our user can connect to. Where the
// kernel takes the mode from the socket (Linux), it has it from its first moment;
// elsewhere a moment later, and the peer's credentials are checked in any case.
func bind(ctx context.Context, path string) (*net.UnixListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l.(*net.UnixListener), nil
}

// AlreadyRunning tells the error of a Listen at the place of a live master.
func AlreadyRunning(err error) bool {
	_, is := errors.AsType[alreadyRunning](err)
	return is
}

type alreadyRunning struct{ error }

// running is the error that a master has the place at path already.
func running(ctx context.Context, path string) error {
	name := filepath.Base(filepath.Dir(path))
	ctx, cancel := context.WithTimeout(ctx, askRunning)
	defer cancel()
	caller := At(path)
	who, err := caller.identity(ctx)
	if err == nil {
		return alreadyRunning{fmt.Errorf("rondo %q is already running (pid %d): use rondo reload, or give this one another name", who.Name, who.PID)}
	}
	if p, err := caller.peer(); err == nil {
		return alreadyRunning{fmt.Errorf("rondo %q is already running (pid %d) and does not answer", name, p.pid)}
	}
	return alreadyRunning{fmt.Errorf("rondo %q is already running, or just starting: %s.lock is held", name, path)}
}
