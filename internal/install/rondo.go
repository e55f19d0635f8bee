package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rondokit/rondo/internal/systemd"
)

// lasting gives the file that path leads to, unless it is in one of directories, which do
// not last.
func lasting(path string, directories ...string) (real string, err error) {
	real, err = filepath.EvalSymlinks(path)
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		err = wrong.Err
	}
	if err != nil {
		return "", fmt.Errorf("--rondo %s: %w", path, err)
	}
	for _, dir := range directories {
		if within(real, dir) {
			return "", refused(real, "which does not last")
		}
	}
	return real, nil
}

func refused(rondo, why string) error {
	return fmt.Errorf("rondo is at %s, %s: install it (sudo install -m 755 %s /usr/local/bin/rondo) and run that one", rondo, why, rondo)
}

// CheckLastingRondo says what keeps a property list from naming the rondo at path. Whose
// it is does not matter: launchd runs it as the app's account alone, and Homebrew's is a
// person's.
func CheckLastingRondo(path string) error {
	_, err := lasting(path, "/tmp", "/var/tmp", "/var/folders", "/var/run", "/private/tmp", "/private/var/tmp", "/private/var/folders", "/private/var/run")
	return err
}

// CheckRondo says what keeps units from naming the rondo at path, and what to do:
// it may be gone tomorrow, hidden from the service, or not be root's, as which the
// system's manager runs it for a reload.
func CheckRondo(path string, scope systemd.Scope) error {
	real, err := lasting(path, "/tmp", "/var/tmp", "/run")
	if err != nil || scope == systemd.User {
		return err
	}
	for _, dir := range []string{"/home", "/root"} {
		if within(real, dir) {
			return refused(real, "where the service may not run it")
		}
	}
	uid, err := osAccounts{}.Owner(real)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	if uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return refused(real, "which others than root may change, and systemd runs it as root for a reload")
	}
	return nil
}
