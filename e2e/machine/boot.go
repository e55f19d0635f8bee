//go:build linux

package machine

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// boot is one run of a machine, from power on to power off.
type boot struct {
	cmd    *exec.Cmd // systemd-nspawn
	leader int       // a pidfd of the machine's process 1; the keeper's to close
	cgroup string    // of all its processes
	took   time.Duration
	ended  chan struct{} // closed once systemd-nspawn has been waited for
	log    output        // of systemd-nspawn and the machine's console
}

// output collects what a process writes, to be read while it runs.
type output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is the end of it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(tail(o.buf.Bytes()))
}

// boot starts systemd-nspawn and returns when the machine says that it is up. Only
// one boot may be running.
func (k *keeper) boot(cfg Config) (*boot, error) {
	// A cgroup for each boot: systemd-nspawn splits the one it is in, and one with
	// cgroups below may take no process.
	k.boots++
	b := &boot{ended: make(chan struct{}), cgroup: filepath.Join(k.cgroup.path, fmt.Sprint("boot", k.boots))}
	if err := os.Mkdir(b.cgroup, 0o755); err != nil {
		return nil, fmt.Errorf("machine: cgroup: %w", err)
	}
	dir, err := os.Open(b.cgroup)
	if err != nil {
		return nil, fmt.Errorf("machine: cgroup: %w", err)
	}
	defer dir.Close()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"}) // a free abstract name
	if err != nil {
		return nil, fmt.Errorf("machine: notify socket: %w", err)
	}
	defer notify.Close()

	b.cmd = exec.Command("unshare", nspawn(cfg, k.root)...)
	b.cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "NOTIFY_SOCKET="+notify.LocalAddr().String())
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	b.cmd.WaitDelay = time.Second
	b.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
		// The machine outlives a systemd-nspawn that is killed, unless that is process 1
		// of a PID namespace.
		Cloneflags: syscall.CLONE_NEWPID,
	}
	began := time.Now()
	if err := k.do(b.cmd.Start); err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	go func() { // ends with systemd-nspawn
		b.cmd.Wait() // how it ended is in cmd.ProcessState
		close(b.ended)
		notify.Close() // wakes await
	}()
	if b.leader, err = b.await(notify); err != nil {
		b.cmd.Process.Kill() // and with it the machine
		<-b.ended
		return nil, fmt.Errorf("machine: boot %s: %w (%v): %s", cfg.Suite, err, b.cmd.ProcessState, &b.log)
	}
	b.took = time.Since(began)
	k.leaders = append(k.leaders, b.leader)
	return b, nil
}

// nspawn are the arguments of unshare, which becomes systemd-nspawn.
func nspawn(cfg Config, root string) []string {
	args := []string{
		"--mount-proc", "--", "systemd-nspawn", // with the /proc of its PID namespace
		"--quiet", "--settings=no", "--directory=" + root, "--boot", "--notify-ready=yes",
		"--register=no", "--keep-unit", // there is no systemd out here to tell
		"--machine=rondo-" + string(cfg.Suite), "--hostname=" + string(cfg.Suite),
		"--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
		"--rlimit=NOFILE=1024:524288", // a booted machine's, not what this process has
		// A booted machine's systemd filters addresses, and has keyrings.
		"--capability=CAP_BPF", "--system-call-filter=bpf @keyring",
	}
	for there, here := range cfg.Bind { // in no order: none may lie in another
		escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
		args = append(args, "--bind-ro="+escape.Replace(here)+":"+escape.Replace(there))
	}
	return args
}

// await reads what systemd-nspawn tells of the machine until that is up, and gives
// a pidfd of its process 1.
func (b *boot) await(notify *net.UnixConn) (leader int, err error) {
	// Fails only on a closed socket, as the read then does.
	_ = notify.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 4096); ; {
		n, err := notify.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return -1, fmt.Errorf("not up after %v", patience)
		} else if err != nil {
			return -1, errors.New("it ended before it was up")
		}
		if !slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			continue
		}
		// What it tells of process 1 is its number in the namespace of systemd-nspawn.
		for _, p := range processes(b.cgroup) {
			if p.PID == 1 {
				return unix.PidfdOpen(p.HostPID, 0)
			}
		}
		return -1, errors.New("it has no process 1")
	}
}
