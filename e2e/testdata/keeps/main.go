// keeps answers what it can do with files, old and new, and what it cannot: a file in
// each directory that a service may write to, held open from its start, and memory
// that it shares by a name.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/worker"
)

func main() {
	ctx := context.Background()
	w, err := worker.Join(worker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	k, err := newKeeper()
	if err != nil {
		log.Fatal(err)
	}
	l, err := w.Listen(ctx, "tcp", ":3000")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { json.NewEncoder(rw).Encode(k.answer()) })
	if err := worker.Serve(ctx, w, &http.Server{}, l); err != nil {
		log.Fatal(err)
	}
}

// keeper holds a file in each directory, the first of them as memory.
type keeper struct {
	held   map[string]*os.File
	memory []byte
}

const page = 4096

func newKeeper() (*keeper, error) {
	k := &keeper{held: map[string]*os.File{}}
	for _, dir := range []string{"/dev/shm", "/tmp", "/var/tmp", os.Getenv("RUNTIME_DIRECTORY")} {
		f, err := os.OpenFile(name(dir), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		k.held[dir] = f
	}
	shm := k.held["/dev/shm"]
	if err := shm.Truncate(page); err != nil {
		return nil, err
	}
	var err error
	k.memory, err = unix.Mmap(int(shm.Fd()), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return k, err
}

func name(dir string) string { return filepath.Join(dir, fmt.Sprintf("kept-%d", os.Getpid())) }

func (k *keeper) answer() map[string]string {
	a := map[string]string{"pid": fmt.Sprint(os.Getpid()), "uid": fmt.Sprint(os.Getuid())}
	for dir, f := range k.held {
		a["create in "+dir] = outcome(create(dir))
		a["reopen in "+dir] = outcome(reopen(dir, f))
	}
	a["memory"] = outcome(k.share())
	for _, path := range []string{"/etc/x", "/srv/app/x", "/usr/x"} {
		a["write "+path] = outcome(os.WriteFile(path, nil, 0o600))
	}
	_, err := os.ReadDir("/home")
	a["list /home"] = outcome(err)
	_, err = os.Stat("/proc/1")
	a["see process 1"] = outcome(err)
	_, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	a["packet socket"] = outcome(err)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		if key == "NoNewPrivs" || key == "Seccomp" || key == "CapBnd" {
			a[key] = strings.TrimSpace(value)
		}
	}
	return a
}

// create makes a file, and removes it again.
func create(dir string) error {
	f, err := os.CreateTemp(dir, "new-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// reopen finds by its name the very file that is held.
func reopen(dir string, held *os.File) error {
	f, err := os.OpenFile(name(dir), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	a, err1 := held.Stat()
	b, err2 := f.Stat()
	if err1 == nil && err2 == nil && !os.SameFile(a, b) {
		return errors.New("another file")
	}
	return errors.Join(err1, err2)
}

// share writes to the memory, and reads it through the file of its name.
func (k *keeper) share() error {
	k.memory[0]++
	text, err := os.ReadFile(name("/dev/shm"))
	if err != nil {
		return err
	}
	if len(text) != page || text[0] != k.memory[0] {
		return errors.New("other memory")
	}
	return nil
}

func outcome(err error) string {
	if err == nil {
		return "done"
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}
