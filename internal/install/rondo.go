package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rondokit/rondo/internal/systemd"
)

// CheckRondo says what keeps units from naming the rondo at path, and what to do:
// it may be gone tomorrow, hidden from the service, or not be root's, as which the
// system's manager runs it for a reload.
func CheckRondo(path string, scope systemd.Scope) error {
	real, err := filepath.EvalSymlinks(path)
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("--rondo %s: %w", path, wrong.Err)
	}
	if err != nil {
		return fmt.Errorf("--rondo %s: %w", path, err)
	}
	refused := func(why string) error {
		return fmt.Errorf("rondo is at %s, %s: install it (sudo install -m 755 %s /usr/local/bin/rondo) and run that one", real, why, real)
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/run"} {
		if within(real, dir) {
			return refused("which does not last")
		}
	}
	if scope == systemd.User {
		return nil
	}
	for _, dir := range []string{"/home", "/root"} {
		if within(real, dir) {
			return refused("where the service may not run it")
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
		return refused("which others than root may change, and systemd runs it as root for a reload")
	}
	return nil
}
