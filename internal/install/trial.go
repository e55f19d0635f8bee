package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
)

// A Trial is what must work as the account before the app is installed. It is
// JSON on its way to a process of that account.
type Trial struct {
	Account  Account
	Rondo    string // must be executable; empty means that it is not tried
	Program  string // too
	Settings settings.Settings
	Reads    []string // files that must be readable
	Sockets  []Socket // that the manager would pass
}

// Socket is a socket of the manager's, described.
type Socket struct {
	Name   string
	Kind   settings.Kind // tcp, udp or unix
	IP     netip.Addr
	Port   uint16
	Path   string
	V6Only bool
}

// tryTime is a bound for a process that only looks at files.
const tryTime = 20 * time.Second

// A TrialError is what is wrong, and what mends it, if that is known.
type TrialError struct {
	What   string
	At     string // the path that is in the way, if one is
	Mend   string // a command
	Advice string // what else does, in words
}

func (e *TrialError) Error() string {
	switch {
	case e.Mend == "" && e.Advice == "":
		return e.What
	case e.Advice == "":
		return e.What + ": " + e.Mend
	case e.Mend == "":
		return e.What + ": " + e.Advice
	}
	return e.What + ": " + e.Mend + ", or " + e.Advice
}

// ErrNotTried is the error of TryAs where this process may not become the account.
var ErrNotTried = errors.New("only root can try it as another account")

// TryAs carries out t as its account: it runs this program again with args, whose
// process is to call Attempt. Root may try as anybody, others only as themselves.
func TryAs(ctx context.Context, t Trial, args ...string) error {
	doc, err := json.Marshal(t)
	if err != nil {
		return err
	}
	euid := os.Geteuid()
	if euid != 0 && euid != t.Account.UID {
		return ErrNotTried
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self(), args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + servicePath}
	cmd.Stdin = bytes.NewReader(doc)
	if euid == 0 {
		credential := &syscall.Credential{Uid: uint32(t.Account.UID), Gid: uint32(t.Account.GID)}
		for _, gid := range t.Account.Groups {
			credential.Groups = append(credential.Groups, uint32(gid))
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	said, err := cmd.Output()
	if err == nil && len(said) == 0 {
		return nil
	}
	wrong := new(TrialError)
	if err == nil {
		err = json.Unmarshal(said, wrong)
	}
	if err != nil {
		return fmt.Errorf("cannot try it as %s: %w: %s", t.Account.Name, err, strings.TrimSpace(stderr.String()))
	}
	return wrong
}

// self is this program for exec. The link works also for an account that may not
// reach the path, which the Trial then tells in words.
func self() string {
	const link = "/proc/self/exe"
	if _, err := os.Stat(link); err == nil {
		return link
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// Attempt is the process that TryAs runs: it reads a Trial from in, and writes to
// out what is wrong, if anything, as JSON of a TrialError.
func Attempt(in io.Reader, out io.Writer, check func(settings.Settings, []activation.Socket) error) error {
	var t Trial
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return fmt.Errorf("what to try: %w", err)
	}
	err := t.Attempt(check)
	if err == nil {
		return nil
	}
	wrong, ok := errors.AsType[*TrialError](err)
	if !ok {
		wrong = &TrialError{What: err.Error()}
	}
	return json.NewEncoder(out).Encode(wrong)
}

// Attempt tries t as this process's account.
func (t Trial) Attempt(check func(settings.Settings, []activation.Socket) error) error {
	what := []struct {
		name, path string
		right      uint32
	}{{"directory", t.Settings.Directory, unix.X_OK}, {"command", t.Program, unix.X_OK}, {"rondo", t.Rondo, unix.X_OK}}
	for _, path := range t.Reads {
		what = append(what, struct {
			name, path string
			right      uint32
		}{"command", path, unix.R_OK})
	}
	for _, w := range what {
		if w.path == "" {
			continue
		}
		if err := t.reach(w.path, w.right); err != nil {
			err.What = w.name + ": " + err.What
			return err
		}
	}
	return check(t.Settings, passed(t.Sockets))
}

// reach says which part of path keeps the account from it.
func (t Trial) reach(path string, right uint32) *TrialError {
	if unix.Access(path, right) == nil {
		return nil
	}
	for _, p := range append([]string{path}, places(path)...) {
		at := "/"
		for part := range strings.SplitSeq(strings.TrimPrefix(filepath.Dir(p), "/"), "/") {
			at = filepath.Join(at, part)
			if info, err := os.Stat(at); err == nil && info.IsDir() && errors.Is(unix.Access(at, unix.X_OK), unix.EACCES) {
				return t.refused(path, at, "enter", "x", info)
			}
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return &TrialError{What: err.Error()}
	}
	switch {
	case right == unix.R_OK:
		return t.refused(path, path, "read", "r", info)
	case info.IsDir():
		return t.refused(path, path, "enter", "x", info)
	default:
		return t.refused(path, path, "execute", "rx", info)
	}
}

// refused is about at, on the way to path or path itself.
func (t Trial) refused(path, at, verb, rights string, info fs.FileInfo) *TrialError {
	where := ""
	if at != path {
		where = path + ": "
	}
	class := t.class(info)
	owner := ownerName(info)
	e := &TrialError{At: at, What: fmt.Sprintf("%s%s may not %s %s (owner %s, mode %04o)", where, t.Account.Name, verb, at, owner, info.Mode().Perm())}
	var advice []string
	if class != "u" && inHome(at) {
		advice = append(advice, t.elsewhere(path))
	} else {
		e.Mend = fmt.Sprintf("chmod %s+%s %s", class, rights, at)
	}
	if class != "u" && owner != "root" {
		advice = append(advice, "run it as the owner: --run-as "+owner)
	}
	e.Advice = strings.Join(advice, ", or ")
	return e
}

// inHome says whether opening path to an account would open a home of another's.
func inHome(path string) bool {
	return within(path, "/root") || within(path, "/var/root") || path != "/home" && within(path, "/home") || path != "/Users" && within(path, "/Users")
}

// elsewhere is where path, in a home, should rather be.
func (t Trial) elsewhere(path string) string {
	if (path == t.Program || path == t.Rondo) && !within(path, t.Settings.Directory) {
		return "homes stay closed: install it for all accounts, as in /usr/local/bin"
	}
	return "homes stay closed: put it into a directory like /srv/" + t.Settings.Name
}

// class is which of a file's three sets of rights the account has, as chmod calls it.
func (t Trial) class(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return "o"
	case int(stat.Uid) == t.Account.UID:
		return "u"
	case int(stat.Gid) == t.Account.GID || slices.Contains(t.Account.Groups, int(stat.Gid)):
		return "g"
	}
	return "o"
}

func ownerName(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "?"
	}
	uid := strconv.Itoa(int(stat.Uid))
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

// passed are the sockets as a master would get them, without a File.
func passed(sockets []Socket) []activation.Socket {
	list := make([]activation.Socket, len(sockets))
	for i, s := range sockets {
		list[i] = activation.Socket{Name: s.Name, Index: i, Listening: s.Kind != settings.KindUDP, V6Only: s.V6Only}
		ip := s.IP.AsSlice()
		if ip == nil {
			ip = net.IPv6unspecified
		}
		switch s.Kind {
		case settings.KindUnix:
			list[i].Kind, list[i].Addr = activation.Unix, &net.UnixAddr{Name: s.Path, Net: "unix"}
		case settings.KindUDP:
			list[i].Kind, list[i].Addr = activation.UDP, &net.UDPAddr{IP: ip, Port: int(s.Port), Zone: s.IP.Zone()}
		default:
			list[i].Kind, list[i].Addr = activation.TCP, &net.TCPAddr{IP: ip, Port: int(s.Port), Zone: s.IP.Zone()}
		}
	}
	return list
}
