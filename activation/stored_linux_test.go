package activation

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// takeAny calls Take, or TakeWithStored with names as a master has them.
func takeAny(stored bool) (sockets []Socket, files []*os.File, asked []string, err error) {
	if !stored {
		sockets, err = Take()
		return sockets, nil, nil, err
	}
	sockets, files, err = TakeWithStored(func(name string, servable bool) bool {
		asked = append(asked, fmt.Sprint(name, " ", servable))
		switch {
		case name == "state", strings.HasSuffix(name, ".chan"), strings.HasSuffix(name, ".pid"):
			return !servable
		case strings.HasSuffix(name, ".listen"):
			return servable
		}
		return false
	})
	return sockets, files, asked, err
}

// describeStored uses each file as its owner would, and then reports what it is.
func describeStored(files []*os.File) (list []kept) {
	for _, f := range files {
		k := kept{Name: f.Name()}
		var err error
		if strings.HasSuffix(k.Name, ".chan") {
			err = greet(f)
		}
		k.Is = identity(f)
		var flagsErr error
		k.CloseOnExec, k.NonBlocking, flagsErr = flags(f)
		if err := errors.Join(err, flagsErr); err != nil {
			k.Is = err.Error()
		}
		list = append(list, k)
	}
	return list
}

const greeting, answer = "who is there?\n", "it is I\n"

// greet says something on a channel and waits for the answer.
func greet(f *os.File) error {
	if _, err := io.WriteString(f, greeting); err != nil {
		return err
	}
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(f, got); err != nil || string(got) != answer {
		return fmt.Errorf("answer %q, %w", got, err)
	}
	return nil
}

// answerer answers one greeting on the other end of a channel.
func answerer(f *os.File) error {
	got := make([]byte, len(greeting))
	if _, err := io.ReadFull(f, got); err != nil || string(got) != greeting {
		return fmt.Errorf("greeting %q, %w", got, err)
	}
	_, err := io.WriteString(f, answer)
	return err
}

// identity tells what f is so that another process tells the same of the same: the
// inode of a socket, the content of a memfd, the process of a pidfd.
func identity(f *os.File) (is string) {
	raw, err := f.SyscallConn()
	if err != nil {
		return err.Error()
	}
	raw.Control(func(fd uintptr) {
		is, _ = os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
		info, err := os.ReadFile(fmt.Sprint("/proc/self/fdinfo/", fd))
		if err != nil {
			is = err.Error()
		}
		for line := range strings.Lines(string(info)) {
			if strings.HasPrefix(line, "Pid:") {
				is += " " + line
			}
		}
		if strings.HasPrefix(is, "/memfd:") {
			content := make([]byte, 100)
			n, err := unix.Pread(int(fd), content, 0)
			is += fmt.Sprintf(" %q %v", content[:max(n, 0)], err)
		}
	})
	return is
}

// channel gives one end of two connected sockets, of which the other answers once.
func channel(t *testing.T, flags int) *os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	ours := rawFile(t)(fds[0], err)
	if err := unix.SetNonblock(fds[1], true); err != nil { // so that Close ends a Read
		t.Fatal(err)
	}
	theirs := rawFile(t)(fds[1], err)
	ended := make(chan error, 1)
	go func() { ended <- answerer(theirs) }() // ends with the greeting, or theirs' Close
	t.Cleanup(func() {
		theirs.SetReadDeadline(time.Now())
		if err := <-ended; err != nil {
			t.Errorf("channel: %v", err)
		}
	})
	return ours
}

func memfd(t *testing.T, name, content string) *os.File {
	t.Helper()
	f := rawFile(t)(unix.MemfdCreate(name, unix.MFD_CLOEXEC))
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestStoredDescriptorsAreGivenAsTheyAreAndSocketsServed(t *testing.T) {
	countDescriptors(t)
	in4 := &unix.SockaddrInet4{Addr: loopback4}
	tcp := func() *os.File { return open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4) }
	unit := func(f *os.File) *os.File { return listen(t, f) }
	nonblocking := tcp()
	control(t, nonblocking, func(fd int) error { return unix.SetNonblock(fd, true) })

	passed := []struct {
		name   string
		file   *os.File
		stored bool
	}{
		{"http", unit(tcp()), false},
		{"state", unit(tcp()), false}, // by FileDescriptorName=
		{"w1.pid", tcp(), false},      // servable without listening
		{"w17.chan", channel(t, unix.SOCK_NONBLOCK), true},
		{"w17.pid", rawFile(t)(unix.PidfdOpen(os.Getpid(), 0)), true},
		{"state", memfd(t, "rondo", "the state"), true},
		{"l5.listen", unit(nonblocking), true},
		{"l6.listen", unit(tcp()), true}, // whose owner has it blocking
		{"w17.chan", channel(t, 0), true},
		{"w18.pid", rawFile(t)(unix.PidfdOpen(os.Getppid(), unix.PIDFD_NONBLOCK)), true},
		{"last", unit(tcp()), false}, // systemd passes these first; their place must count all the same
	}
	var names, asked []string
	var files []*os.File
	var wantStored []kept
	var wantSockets []found
	for i, p := range passed {
		names, files = append(names, p.name), append(files, p.file)
		_, nonBlocking, err := flags(p.file)
		if err != nil {
			t.Fatal(err)
		}
		servable := !p.stored || strings.HasSuffix(p.name, ".listen")
		asked = append(asked, fmt.Sprint(p.name, " ", servable))
		if p.stored {
			wantStored = append(wantStored, kept{Name: p.name, Is: identity(p.file), CloseOnExec: true, NonBlocking: nonBlocking})
			continue
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port(t, p.file))
		wantSockets = append(wantSockets, found{Name: p.name, Index: i, Kind: TCP, Network: "tcp", Addr: addr,
			Listening: p.name != "w1.pid", CloseOnExec: true, NonBlocking: true})
	}

	rep := runTake(t, files, "TEST_STORED=1", "LISTEN_FDNAMES="+strings.Join(names, ":"))
	if rep.Err != "" || rep.Closed != len(files) {
		t.Errorf("TakeWithStored() = %s, and %d descriptors closed, want no error and %d", rep.Err, rep.Closed, len(files))
	}
	if !slices.Equal(rep.Sockets, wantSockets) {
		t.Errorf("TakeWithStored() gives the sockets\n%+v\nwant\n%+v", rep.Sockets, wantSockets)
	}
	if !slices.Equal(rep.Stored, wantStored) {
		t.Errorf("TakeWithStored() gives as stored\n%+v\nwant\n%+v", rep.Stored, wantStored)
	}
	if !slices.Equal(rep.Asked, asked) {
		t.Errorf("TakeWithStored() asked for %q, want %q", rep.Asked, asked)
	}
}
