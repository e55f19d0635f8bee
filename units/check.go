package units

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/settings"
)

// check says what keeps a, with its defaults set, from being written.
func (a App) check() error {
	if err := settings.CheckName(a.Name); err != nil {
		return wrong("Name", "%w", err)
	}
	if a.Systemd < oldest {
		return wrong("Systemd", "%d is older than %d, the oldest that rondo knows", a.Systemd, oldest)
	}
	for _, part := range []func() error{a.checkPaths, a.checkAccount, a.checkEnvironment, a.checkFiles, a.checkTimes, a.checkListeners} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// wrong says what is wrong with a field.
func wrong(field, format string, args ...any) error {
	return fmt.Errorf(field+": "+format, args...)
}

// inField adds the field to what is wrong with it, if anything is.
func inField(field string, err error) error {
	if err == nil {
		return nil
	}
	return wrong(field, "%w", err)
}

func (a App) checkPaths() error {
	errs := []error{
		inField("Program", checkPath(a.Program)),
		inField("Directory", checkPath(a.Directory)),
		inField("Config", checkPath(a.Config)),
		inField("Rondo", checkPath(a.Rondo)),
	}
	if strings.Contains(a.Rondo, "$") {
		errs = append(errs, wrong("Rondo", "%q has a $, which systemd does not find in a program's path", a.Rondo))
	}
	for _, arg := range a.Args { // not in a line of their own, so a newline is no harm
		errs = append(errs, inField("Args", checkUTF8(arg)))
	}
	for _, path := range a.Reads {
		errs = append(errs, inField("Reads", checkPath(path)))
	}
	for _, path := range a.Writes {
		errs = append(errs, inField("Writes", checkPath(path)))
	}
	return first(errs)
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkPath(path string) error {
	if err := checkWhole(path); err != nil {
		return err
	}
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is not an absolute path", path)
	}
	if clean := filepath.Clean(path); clean != path {
		return fmt.Errorf("%q is not a clean path, right would be %q", path, clean)
	}
	return nil
}

func (a App) checkAccount() error {
	switch {
	case a.UserManager && (a.User != "" || a.Group != ""):
		return wrong("User", "a user's manager runs everything as that user: leave it empty")
	case a.UserManager && a.NoNetwork:
		return wrong("NoNetwork", "a user's manager may not take the network away, and would go on with it: use the system's")
	case a.UserManager || a.User != "":
		return first([]error{checkAccount("User", a.User), checkAccount("Group", a.Group)})
	case a.Group != "":
		return wrong("Group", "a group without a User: name the account, too")
	case a.Unconfined:
		return wrong("User", "none, and a dynamic user is always confined: name an account")
	case a.Systemd < disconnected:
		return wrong("User", "none, and a dynamic user loses its files in /tmp at a restart before systemd %d: name an account", disconnected)
	case a.inTemporary():
		return wrong("User", "none, and a dynamic user always has a /tmp and /var/tmp of its own, without the app's files: name an account, or move them")
	}
	return nil
}

// checkAccount takes the names that systemd takes without a warning, and ids.
func checkAccount(field, name string) error {
	switch {
	case name == "":
		return nil
	case len(name) > 31:
		return wrong(field, "%q is longer than 31 bytes", name)
	case strings.Trim(name, digits) == "":
		return nil
	case strings.Trim(name, nameBytes) != "" || strings.IndexByte("-."+digits, name[0]) >= 0:
		return wrong(field, "%q is not the name of an account", name)
	}
	return nil
}

func (a App) checkEnvironment() error {
	seen := make(map[string]bool)
	for _, variable := range a.Environment {
		name, _, ok := strings.Cut(variable, "=")
		switch {
		case !ok || !isVariable(name):
			return wrong("Environment", "%q is not NAME=VALUE", variable)
		case seen[name]:
			return wrong("Environment", "%s is set twice", name)
		}
		seen[name] = true
		if err := checkText(variable); err != nil {
			return wrong("Environment", "%w", err)
		}
	}
	return nil
}

func isVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// checkFiles is about the files that the manager reads for us.
func (a App) checkFiles() error {
	for _, file := range a.EnvironmentFiles {
		path := strings.TrimPrefix(file, "-")
		if err := checkPath(path); err != nil {
			return wrong("EnvironmentFiles", "%w", err)
		}
		if strings.ContainsAny(path, `*?[\`) {
			return wrong("EnvironmentFiles", "systemd reads %q as a pattern: give the file another name", path)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.Credentials)) {
		if err := settings.CheckName(id); err != nil {
			return wrong("Credentials", "%w", err)
		}
		if err := checkPath(a.Credentials[id]); err != nil {
			return wrong("Credentials", "%s: %w", id, err)
		}
		// systemd 257 hands it to its executor unquoted, which then fails.
		if strings.ContainsAny(a.Credentials[id], ` \`) {
			return wrong("Credentials", "%s: systemd cannot pass on %q: give the file a name without space and backslash", id, a.Credentials[id])
		}
	}
	return nil
}

// maxTime is above what settings take; sums of such times do not overflow.
const maxTime = 10 * 365 * 24 * time.Hour

func (a App) checkTimes() error {
	for _, t := range []struct {
		field string
		value time.Duration
	}{{"StartTimeout", a.StartTimeout}, {"DrainTimeout", a.DrainTimeout}, {"KillTimeout", a.KillTimeout}} {
		if t.value < 0 || t.value > maxTime {
			return wrong(t.field, "%v is not a time to wait", t.value)
		}
	}
	return nil
}
