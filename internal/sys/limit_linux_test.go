package sys

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func init() { roles["few descriptors"] = fewDescriptors }

// fewDescriptors receives, with room for three descriptors, a message that has
// eight, and one that has one: once without room, and once with.
func fewDescriptors() int {
	first, err := Dup(3) // the lowest that is free
	if err != nil {
		fmt.Println(err)
		return 1
	}
	Close(first)
	limit := unix.Rlimit{Cur: uint64(first + 3), Max: uint64(first + 100)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Println(err)
		return 1
	}
	buf := make([]byte, 100)
	n, fds, truncated, err := Recv(3, buf, nil)
	fmt.Printf("%q, %d, %v, %v\n", buf[:n], len(fds), truncated, err)
	n, none, truncated, err := Recv(3, buf, nil)
	fmt.Printf("%q, %d, %v, %v\n", buf[:n], len(none), truncated, err)
	for _, fd := range fds {
		Close(fd)
	}
	n, fds, truncated, err = Recv(3, buf, nil)
	fmt.Printf("%q, %d, %v, %v\n", buf[:n], len(fds), truncated, err)
	return 0
}

func TestRecvSaysWhenDescriptorsWereLost(t *testing.T) {
	census(t)
	a, b := pair(t)
	Send(a, []byte("eight"), []int{a, a, a, a, a, a, a, a})
	Send(a, []byte("no room"), []int{a})
	Send(a, []byte("room"), []int{a})

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := Start(as(t, "few descriptors", null(t), int(w.Fd()), 2, b))
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	got := readAll(t, r)
	if status, err := p.Reap(); err != nil || status.ExitStatus() != 0 {
		t.Errorf("the child ended with %v, %v, want 0", status, err)
	}
	want := "\"eight\", 3, true, <nil>\n\"no room\", 0, true, <nil>\n\"room\", 1, false, <nil>\n"
	if got != want {
		t.Errorf("the child received\n%swant\n%s", got, want)
	}
}
