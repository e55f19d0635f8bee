//go:build !portable

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWorkersOfTheProgramInheritOnlyWhatIsTheirs is the same of the program itself,
// which has two passed sockets, a control socket and a service manager to tell.
func TestWorkersOfTheProgramInheritOnlyWhatIsTheirs(t *testing.T) {
	dir, before := t.TempDir(), passedOn()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	serving := make(chan struct{})
	go func() { // ends with the manager
		for b := make([]byte, 4096); ; {
			n, err := manager.Read(b)
			if err != nil {
				return
			}
			if strings.HasPrefix(string(b[:n]), "READY=1") || strings.Contains(string(b[:n]), "\nREADY=1") {
				close(serving)
			}
		}
	}()
	address := fmt.Sprintf("%s:%d", loopback(), 1024+rand.IntN(20000))
	gone := []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "notify"), "WATCHDOG_USEC=60000000", "FDSTORE=9"}
	env := append([]string{roleVar + "=inherit", "TEST_DIR=" + dir, "TEST_LISTEN=" + address, "GORACE=atexit_sleep_ms=0"}, gone...)
	a := activate(t, "web:ux", []string{address, filepath.Join(dir, "s")}, env,
		append([]string{"run", "--name", "app", "--workers", "1", "--"}, goCommand(t)...))
	curl(t, "http://"+address+"/") // which starts it
	select {
	case <-serving:
	case <-time.After(patience):
		t.Fatal("it never says that it is ready")
	}
	w := a.status().Workers[0]
	had := readInheritance(t, filepath.Join(dir, "0"))
	if had.PID != w.PID {
		t.Errorf("pid %d, want %d", had.PID, w.PID)
	}
	checkFiles(t, had.Files, before)
	gone = append(gone, "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "LISTEN_PIDFDID=", "WATCHDOG_PID=")
	checkEnv(t, had.Env, gone, []string{"NODE_CHANNEL_FD=3", "RONDO_SLOT=0"})
}
