//go:build !portable

package sys

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAPathThatIsTooLongForASocketHasAShortName(t *testing.T) {
	dir := t.TempDir()
	for len(dir) <= 2*maxPath {
		dir = filepath.Join(dir, strings.Repeat("d", 50))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	census(t)
	path := filepath.Join(dir, "app.sock")
	short, release, err := ShortPath(path)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", short)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
		t.Errorf("at the long path there is %v, %v, want the socket", info, err)
	}
	conn, err := net.Dial("unix", short)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	release()
	for _, path := range []string{"/run/app.sock", "@" + strings.Repeat("a", 200)} {
		if short, release, err := ShortPath(path); short != path || err != nil {
			t.Errorf("ShortPath(%q) = %q, %v, want the same", path, short, err)
		} else {
			release()
		}
	}
	if _, _, err := ShortPath(filepath.Join(dir, strings.Repeat("n", 150))); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a name that is too long by itself: %v, want ENAMETOOLONG", err)
	}
	if _, _, err := ShortPath(filepath.Join(dir, "nowhere", "app.sock")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("in a directory that is not there: %v, want ENOENT", err)
	}
}
