//go:build linux

package machine

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// Suite is a release of Debian.
type Suite string

const (
	Bookworm Suite = "bookworm" // Debian 12, systemd 252
	Trixie   Suite = "trixie"   // Debian 13, systemd 257
)

// Suites gives the releases to test on; only the oldest in a short run.
func Suites() []Suite {
	if testing.Short() {
		return []Suite{Bookworm}
	}
	return []Suite{Bookworm, Trixie}
}

// packages are in every tree besides the essential ones and apt.
var packages = []string{
	"systemd", "systemd-sysv", "dbus",
	"libpam-systemd", "dbus-user-session", // user managers
	"libnss-systemd", // names for DynamicUser
	"passwd", "adduser", "mount", "procps", "iproute2", "curl", "strace",
	"libstdc++6", "libatomic1", // Node
	"rpm",
}

// hook is run on a tree once its packages are installed; $1 is the tree.
const hook = `
# What mmdebstrap copied from the host, and its own settings: they would bend the
# packages that tests install.
rm -f "$1/etc/hostname" "$1/etc/resolv.conf"
rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1/etc/apt/apt.conf.d/99mmdebstrap"
# They start at times of their own.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup; do
	ln -sf /dev/null "$1/etc/systemd/system/$timer.timer"
done
# A boot finds its caches fresh and need not build them.
ldconfig -r "$1"
chroot "$1" journalctl --update-catalog
touch -r "$1/usr" "$1/etc/.updated" "$1/var/.updated"
`

// recipe is what mmdebstrap is told, but for the mirror and the directory.
func (s Suite) recipe() []string {
	args := []string{
		"--mode=root", "--variant=apt", "--format=directory",
		"--include=" + strings.Join(packages, ","),
		`--aptopt=Acquire::Languages "none"`,
		"--dpkgopt=force-unsafe-io",
		"--customize-hook=" + hook,
	}
	for _, dir := range []string{"man", "doc", "locale", "info"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+dir+"/*")
	}
	return append(args, string(s))
}

// hash names the recipe: a tree of another recipe is another tree.
func (s Suite) hash() string {
	sum := sha256.Sum256([]byte(strings.Join(s.recipe(), "\x00")))
	return fmt.Sprintf("%x", sum[:8])
}
