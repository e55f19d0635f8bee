package control

import (
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAStrangerIsRefusedInClearWords(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: the refusal of another user was not checked")
	}
	path := socketPath(t, shortDir(t))
	b := new(backend)
	serve(t, path, &Server{Backend: b})
	for p := path; p != os.TempDir(); p = p[:strings.LastIndexByte(p, '/')] {
		if err := os.Chmod(p, 0o777); err != nil { // the mode keeps strangers out first
			t.Fatal(err)
		}
	}
	answered := make(chan string, 1)
	go func() { // ends with its thread, which has another user's ids
		runtime.LockOSThread()
		answered <- askAs(65534, path)
	}()
	text := <-answered
	if !strings.HasPrefix(text, "HTTP/1.1 403 Forbidden\r\n") || !strings.Contains(text, `uid 65534 may not use the control socket of uid 0`) {
		t.Errorf("a stranger got %q, want 403 and why", text)
	}
	if b.got() != "" {
		t.Errorf("the master got %q of a stranger, want nothing", b.got())
	}
}

// askAs asks for a stop as uid, which only this thread becomes.
func askAs(uid uintptr, path string) string {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return errno.Error()
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	f := os.NewFile(uintptr(fd), "stranger")
	defer f.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err.Error()
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
