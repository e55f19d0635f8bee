package install

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rondokit/rondo/units"
)

// Account is one of the machine's.
type Account struct {
	Name     string // or the number, where there is no name
	UID, GID int
	Groups   []int // supplementary, with GID
}

// anybody has the rights of an account that does not exist yet, which are those
// of others. 65534 is nobody's number on every distribution with systemd.
var (
	anybody = Account{Name: "a new account", UID: 65534, GID: 65534}
	dynamic = Account{Name: "a dynamic user", UID: 65534, GID: 65534}
)

// An identity is who an app runs as, for the unit and for the Trial.
type identity struct {
	user, group string
	account     Account
	create      bool   // by systemd-sysusers
	why         string // for people
}

func (id identity) String() string {
	if id.user == "" { // of a user's manager, or dynamic
		return id.account.Name + ", " + id.why
	}
	return id.user + ", " + id.why
}

// identity decides whom a runs as: whom the request names, else the owner of the
// working directory, else an account of its own.
func (m *Machine) identity(req Request, a units.App) (identity, error) {
	if m.user() {
		if req.RunAs != "" {
			return identity{}, errors.New("--run-as: a user's manager runs everything as that user: leave it out, or leave --user out")
		}
		account, err := m.Accounts.Lookup(strconv.Itoa(os.Getuid()))
		return identity{account: account, why: "whose manager it is"}, err
	}
	if req.RunAs != "" {
		name, _, _ := strings.Cut(req.RunAs, ":")
		return named(m.Accounts, req, fmt.Sprintf("make one (sudo useradd --system %s), or leave --run-as out", name))
	}
	if req.Foreign {
		return m.ownAccount(req, a)
	}
	id, isRoot, err := ownerOf(m.Accounts, a.Directory)
	if isRoot {
		return m.ownAccount(req, a)
	}
	return id, err
}

// named is for --run-as ACCOUNT or ACCOUNT:GROUP; instead is what to do where there is no
// such account.
func named(accounts Accounts, req Request, instead string) (identity, error) {
	name, group, _ := strings.Cut(req.RunAs, ":")
	id := identity{user: name, group: group, why: "as --run-as says"}
	if req.Foreign {
		return id, nil
	}
	var err error
	if id.account, err = accounts.Lookup(name); err != nil {
		return identity{}, fmt.Errorf("--run-as: there is no account %q: %s", name, instead)
	}
	if group != "" {
		if id.account.GID, err = groupID(group); err != nil {
			return identity{}, fmt.Errorf("--run-as: there is no group %q", group)
		}
	}
	return id, nil
}

// ownerOf is who owns the working directory, unless that is root.
func ownerOf(accounts Accounts, directory string) (id identity, isRoot bool, err error) {
	uid, err := accounts.Owner(directory)
	if err != nil {
		return identity{}, false, fmt.Errorf("directory: %w", err)
	}
	if uid == 0 {
		return identity{}, true, nil
	}
	account, err := accounts.Lookup(strconv.Itoa(uid))
	if err != nil {
		return identity{}, false, fmt.Errorf("%s belongs to uid %d, which is no account: say --run-as ACCOUNT", directory, uid)
	}
	return identity{user: account.Name, account: account, why: "who owns " + directory}, false, nil
}

// checkSocketOwner looks for whom the manager gives unix sockets to.
func (m *Machine) checkSocketOwner(req Request) error {
	if req.Foreign {
		return nil
	}
	name, group := req.Socket.User, req.Socket.Group
	if name != "" {
		if _, err := m.Accounts.Lookup(name); err != nil {
			return fmt.Errorf("--socket-user: there is no account %q: make one (sudo useradd --system %s), or leave --socket-user out", name, name)
		}
	}
	if group != "" {
		if _, err := groupID(group); err != nil {
			return fmt.Errorf("--socket-group: there is no group %q: make one (sudo groupadd --system %s), or leave --socket-group out", group, group)
		}
	}
	return nil
}

func groupID(name string) (int, error) {
	group, err := user.LookupGroup(name)
	if err != nil {
		if _, nan := strconv.Atoi(name); nan != nil {
			return 0, err
		}
		if group, err = user.LookupGroupId(name); err != nil {
			return 0, err
		}
	}
	return strconv.Atoi(group.Gid)
}

// ownAccount is a dynamic user where units can have one, else a static account. An
// app that has got a static one keeps it.
func (m *Machine) ownAccount(req Request, a units.App) (identity, error) {
	id := identity{user: accountName(a.Name), account: anybody, create: true, why: "an account of its own"}
	var rule *file
	if !req.Foreign {
		var err error
		if rule, err = read(m.Paths.sysusers(a.Name)); err != nil {
			return identity{}, err
		}
	}
	made := rule != nil && rule.ours()
	if _, err := a.Files(m.Version); err == nil && !made {
		return identity{account: dynamic, why: "which exists while the service runs"}, nil
	}
	if account, err := m.Accounts.Lookup(id.user); err == nil && !req.Foreign {
		id.account, id.create = account, made
	}
	return id, nil
}

// accountName is the static account of an app. A name of an account has at most 31
// bytes, no "." and, by custom, no capitals; apps that differ in such have a hash.
func accountName(app string) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, app)
	if name != app || len("rondo-"+name) > 31 {
		sum := sha256.Sum256([]byte(app))
		name = fmt.Sprintf("%s-%x", name[:min(len(name), 18)], sum[:3])
	}
	return "rondo-" + name
}

// sysusersText is the rule that makes the account, for sysusers.d.
func sysusersText(app, account string) string {
	return fmt.Sprintf("# The account of %s.service. rondo uninstall %s removes it.\nu %s - \"%s (rondo)\" - -\n", app, app, account, app)
}

// osAccounts are those of the operating system.
type osAccounts struct{}

// OSAccounts are the accounts of this machine.
func OSAccounts() Accounts { return osAccounts{} }

func (osAccounts) Lookup(name string) (Account, error) {
	u, err := user.Lookup(name)
	if _, nan := strconv.Atoi(name); err != nil && nan == nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return Account{}, err
	}
	a := Account{Name: u.Username}
	if a.UID, err = strconv.Atoi(u.Uid); err != nil {
		return Account{}, err
	}
	if a.GID, err = strconv.Atoi(u.Gid); err != nil {
		return Account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Account{}, err
	}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			a.Groups = append(a.Groups, gid)
		}
	}
	return a, nil
}

func (osAccounts) Owner(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return int(stat.Uid), nil
}

func (osAccounts) Create(ctx context.Context, sysusers string) error {
	return run(ctx, "systemd-sysusers", sysusers)
}

func (osAccounts) Remove(ctx context.Context, a Account) error { return run(ctx, "userdel", a.Name) }

// run runs a program of the system, for its effect.
func run(ctx context.Context, program string, args ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		path = filepath.Join("/usr/sbin", program) // not in everybody's PATH
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (osAccounts) Processes(a Account) []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			continue // it has ended
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && ok && int(stat.Uid) == a.UID {
			pids = append(pids, pid)
		}
	}
	return pids
}
