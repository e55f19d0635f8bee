//go:build linux

package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg" // bookworm's has trixie's keys

// treesDir gives the directory of all trees, which it makes.
func treesDir() (string, error) {
	cache, err := os.UserCacheDir() // XDG_CACHE_HOME or ~/.cache
	if err != nil {
		return "", fmt.Errorf("machine: cache directory: %w", err)
	}
	dir := filepath.Join(cache, "rondo", "trees")
	return dir, os.MkdirAll(filepath.Join(dir, "stage"), 0o755)
}

// tree gives the directory of the suite's tree, which it builds if it is missing.
// Of many processes one builds and the others wait. What stands under the final
// name is complete: it was renamed to it. That it builds is told to log.
func tree(dir string, s Suite, log io.Writer) (string, error) {
	final := filepath.Join(dir, string(s)+"-"+s.hash())
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	unlock, err := lock(filepath.Join(dir, string(s)+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	building := filepath.Join(dir, string(s)+".building")
	// Under the lock it is that of a builder that was killed.
	if err := os.RemoveAll(building); err != nil {
		return "", fmt.Errorf("machine: remove an unfinished tree: %w", err)
	}
	began := time.Now()
	fmt.Fprintf(log, "machine: building the tree of %s, once, in %s\n", s, final)
	if err := build(s, building); err != nil {
		return "", errors.Join(err, os.RemoveAll(building))
	}
	if err := os.Rename(building, final); err != nil {
		return "", fmt.Errorf("machine: finish the tree: %w", err)
	}
	fmt.Fprintf(log, "machine: built the tree of %s in %.0f s\n", s, time.Since(began).Seconds())
	return final, nil
}

// lock takes the lock of a file, waiting for whoever has it. It ends with the
// process, however that ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("machine: lock %s: %w", path, err)
		}
	}
}

// build runs mmdebstrap in a PID namespace, whose end takes apt and dpkg with it,
// on a thread whose end, that of this process too, ends the namespace.
func build(s Suite, into string) error {
	source, err := aptSource(s)
	if err != nil {
		return err
	}
	args := []string{"--pid", "--mount", "--mount-proc", "--fork", "--kill-child", "--", "mmdebstrap", "--quiet"}
	args = append(args, s.recipe()...)
	cmd := exec.Command("unshare", append(args, into, source)...)
	for _, opt := range aptOptions() {
		cmd.Args = append(cmd.Args, "--aptopt="+opt)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	ownThread(func() { done <- cmd.Run() })
	if err := <-done; err != nil {
		return fmt.Errorf("machine: mmdebstrap %s: %w\n%s", s, err, tail(out.Bytes()))
	}
	return nil
}

// aptSource gives the line of a sources.list for the suite: from the mirror that
// this machine's apt has Debian from.
func aptSource(s Suite) (string, error) {
	if _, err := os.Stat(keyring); err != nil {
		return "", fmt.Errorf("machine: package debian-archive-keyring: %w", err)
	}
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("machine: where apt has Debian from: %w", err)
	}
	from := mirror(string(out))
	if from == "" {
		return "", errors.New("machine: apt has no list of Debian's main archive: apt-get update")
	}
	return fmt.Sprintf("deb [signed-by=%s] %s %s main", keyring, from, s), nil
}

// mirror finds the mirror of Debian's main archive in lines of origin, release and
// address; empty if there is none. The release tells it from the archives of security
// fixes and backports.
func mirror(targets string) string {
	for line := range strings.Lines(targets) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) == 3 && f[0] == "Debian" && !strings.ContainsAny(f[1], "-/") {
			return f[2]
		}
	}
	return ""
}

// aptOptions gives this machine's proxies, which mmdebstrap's own apt does not read.
func aptOptions() []string {
	out, _ := exec.Command("apt-config", "dump", "--no-empty", "--format", `%f "%v"%n`,
		"Acquire::http::Proxy", "Acquire::https::Proxy").Output()
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

// tail is the end of an output, for an error.
func tail(b []byte) []byte {
	if b = bytes.TrimSpace(b); len(b) > 4000 {
		b = b[len(b)-4000:]
	}
	return b
}
