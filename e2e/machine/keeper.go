//go:build linux

package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// keeper is the thread on which a machine hangs. The mounts are in its mount
// namespace, and systemd-nspawn is its child and dies with it; both end with this
// process even if that is killed.
type keeper struct {
	cgroup *cgroup
	boots  int
	root   string // the machine's root directory, in the keeper's mounts
	mounts int    // the keeper's mount namespace
	work   chan func()

	// Of all boots, open until the end: a Dial at the time of a reboot may use one.
	leaders []int
}

// newKeeper makes a disk over the tree. The caller ends it.
func newKeeper(dir, tree string) (*keeper, error) {
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := sweep(); err != nil {
		return nil, err
	}
	g, err := newCgroup()
	if err != nil {
		return nil, err
	}
	stage := filepath.Join(dir, "stage")
	k := &keeper{cgroup: g, root: filepath.Join(stage, "root"), work: make(chan func())}
	done := make(chan error, 1)
	ownThread(func() {
		err := k.mount(stage, tree)
		done <- err
		if err == nil {
			for f := range k.work { // until end
				f()
			}
		}
	})
	if err := <-done; err != nil {
		return nil, errors.Join(fmt.Errorf("machine: make its disk: %w", err), g.end())
	}
	return k, nil
}

// mount gives the calling thread mounts of its own, with the machine's disk. Every
// machine has it in the same place, which the others do not see.
func (k *keeper) mount(stage, tree string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount /", err)
	}
	if err := unix.Mount("tmpfs", stage, "tmpfs", 0, "mode=755"); err != nil {
		return os.NewSyscallError("mount tmpfs", err)
	}
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(stage, d), 0o755); err != nil {
			return err
		}
	}
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", escape.Replace(tree),
		escape.Replace(filepath.Join(stage, "upper")), escape.Replace(filepath.Join(stage, "work")))
	if err := unix.Mount("overlay", k.root, "overlay", 0, data); err != nil {
		return os.NewSyscallError("mount overlay", err)
	}
	// systemd-nspawn keeps locks and sockets here, and does not remove them all.
	const runtime = "/run/systemd/nspawn"
	if err := os.MkdirAll(runtime, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", runtime, "tmpfs", 0, "mode=755"); err != nil {
		return os.NewSyscallError("mount "+runtime, err)
	}
	var err error
	k.mounts, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return os.NewSyscallError("open mount namespace", err)
}

// do runs f on the keeper's thread.
func (k *keeper) do(f func() error) error {
	done := make(chan error, 1)
	k.work <- func() { done <- f() }
	return <-done
}

// end kills what runs and forgets the disk.
func (k *keeper) end() error {
	err := k.cgroup.end()
	close(k.work)
	for _, fd := range append(k.leaders, k.mounts) {
		unix.Close(fd)
	}
	return err
}
