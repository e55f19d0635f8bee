package systemd

import (
	"errors"
	"os/user"
	"strings"
	"testing"
)

func TestAUserWithoutAManagerIsToldTheCommand(t *testing.T) {
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	_, err = Connect(t.Context(), User)
	if want := "; log in as the user, or: sudo loginctl enable-linger " + who.Username; !errors.Is(err, ErrAbsent) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Connect = %v, want ErrAbsent and %q", err, want)
	}
}
