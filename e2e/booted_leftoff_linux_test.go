//go:build linux && !portable

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/units"
)

// proofs has an entry for each directive that units leave off. The reason is what
// that of units.LeftOff begins with; fails switches the directive on and sees it
// come true.
var proofs = []struct {
	directive, reason string
	fails             func(s *scene, directive string)
}{
	{"MemoryDenyWriteExecute", "Node and other programs with a JIT compiler", (*scene).killsNodeAndNotGo},
	{"SystemCallFilter", "SCHED_BATCH is among them", (*scene).deniesBatch},
	{"RestrictAddressFamilies", "the manager, the journal and rondo reload", (*scene).endsTheMaster},
	{"RestrictAddressFamilies", "the addresses of the machine", answers("interfaces=ERR_SYSTEM_ERROR")},
	{"UMask", "others may be meant to read", answers("upload=600")},
	{"RootDirectory", "the program and its libraries", (*scene).hidesTheProgram},
	{"RestrictAddressFamilies", "programs connect to others.", answers("others=EAFNOSUPPORT", "itself=EAFNOSUPPORT")},
	{"PrivateNetwork", "programs connect to others. With --network=none", answers("others=ECONNREFUSED")},
	{"IPAddressDeny", "programs connect to others.", (*scene).deniesAddresses},
	{"RestrictAddressFamilies", "a program may ask itself", answers("others=EAFNOSUPPORT", "itself=EAFNOSUPPORT")},
	{"IPAddressDeny", "a program may ask itself", (*scene).deniesAddresses},
	{"ProcSubset", "Node's os.cpus()", answers("processors=0")},
	{"RemoveIPC", "at each stop it removes the shared memory", (*scene).removesSharedMemory},
	{"DynamicUser", "before systemd 257 its /tmp cannot outlive", (*scene).endsTemporaryFiles},
	{"PrivateTmp", "what is in it cannot outlive the master", (*scene).endsTemporaryFiles},
	{"PrivateTmp", "the app has files in a directory for temporary", hidesTheApp("directory not there")},
	{"ProtectHome", "the app has files in a home", hidesTheApp("directory not shown")},
	{"KeyringMode", "the keys of the user", (*scene).hidesKeys},

	{"CapabilityBoundingSet", ofUser, byUser(failing, failing, "step CAPABILITIES", "capabilities kept")},
	{"PrivateDevices", ofUser, byUser(failing, userNamespace)},
	{"PrivateMounts", ofUser, byUser(passedOver, userNamespace)},
	{"PrivateUsers", ofUser, byUser(userNamespace, userNamespace)},
	{"ProtectClock", ofUser, byUser(passedOver, userNamespace)},
	{"ProtectControlGroups", ofUser, byUser(passedOver, userNamespace)},
	{"ProtectHostname", ofUser, byUser(passedOver, userNamespace, "no host name@252")},
	{"ProtectKernelLogs", ofUser, byUser(passedOver, failing,
		"step NAMESPACE for the kernel's log@257", "kernel's log not hidden@257", "kernel's log not mounted@257")},
	{"ProtectKernelModules", ofUser, byUser(passedOver, userNamespace)},
	{"ProtectKernelTunables", ofUser, byUser(passedOver, userNamespace)},
	{"ProtectProc", ofUser, byUser(passedOver, passedOver)},
	{"ProtectSystem", ofUser, byUser(passedOver, userNamespace)},
	{"ProtectHome", ofUser, byUser(passedOver, userNamespace)},
	{"TemporaryFileSystem", ofUser, byUser(failing, "", "step NAMESPACE", "no mounts")},
	{"PrivateTmp", ofUser, byUser(passedOver, userNamespace)},
	{"PrivateNetwork", ofUser, byUser(passedOver, userNamespace, "no network@252")},
	{"IPAddressDeny", ofUser, byUser(passedOver, passedOver)},
	{"ProcSubset", ofUser, byUser(passedOver, passedOver)},
}

const ofUser = "a user's manager passes over it, fails with it, or makes a user namespace"

// proofOf finds the index in proofs of what is left off.
func proofOf(t *testing.T, l units.LeftOff) int {
	t.Helper()
	found := -1
	for i, p := range proofs {
		if p.directive != l.Name || !strings.HasPrefix(l.Reason, p.reason) {
			continue
		}
		if found >= 0 {
			t.Errorf("%s=%s: %s: proofs has two entries", l.Name, l.Value, l.Reason)
		}
		found = i
	}
	if found < 0 {
		t.Errorf("%s=%s: %s: proofs has no entry: nothing shows that it is so", l.Name, l.Value, l.Reason)
	}
	return found
}

// everyLeftOff gives all that the units of some app leave off on a systemd.
func everyLeftOff(t *testing.T, systemd int) (list []units.LeftOff) {
	t.Helper()
	for _, directory := range []string{"/srv/app", "/home/web/app", "/var/tmp/app"} {
		for _, text := range []string{"8080=3000", "unix:/run/app.sock"} {
			l, err := settings.ParseListen(text)
			if err != nil {
				t.Fatal(err)
			}
			for n := range 1 << 3 {
				a := units.App{
					Name: "app", Program: "/usr/bin/node", Directory: directory, Config: "/etc/rondo/app.toml", Systemd: systemd,
					Listeners: []units.Listener{{Listen: l}}, NoNetwork: n&1 != 0, UserManager: n&2 != 0,
				}
				if n&4 != 0 {
					a.User = "web"
				}
				if _, err := a.Files("1.2.3"); err != nil {
					continue // there is no such app
				}
				for _, l := range a.LeftOff() {
					if !slices.Contains(list, l) {
						list = append(list, l)
					}
				}
			}
		}
	}
	if len(list) == 0 {
		t.Fatalf("the units for systemd %d leave nothing off", systemd)
	}
	return list
}

func TestEachDirectiveLeftOffHasAProof(t *testing.T) {
	used := make([]bool, len(proofs))
	for systemd := 252; systemd <= 258; systemd++ {
		for _, l := range everyLeftOff(t, systemd) {
			if i := proofOf(t, l); i >= 0 {
				used[i] = true
			}
		}
	}
	for i, p := range proofs {
		if !used[i] {
			t.Errorf("proofs has %s: %s..., which no unit leaves off for that reason", p.directive, p.reason)
		}
	}
}

func TestEachDirectiveLeftOffFailsAsItsReasonTells(t *testing.T) {
	confined, keys := staticProgram(t, "confined"), staticProgram(t, "keys")
	onBooted(t, func(t *testing.T, h *host) {
		h.Copy(confined, "/usr/local/bin/confined")
		h.Copy(keys, "/usr/local/bin/keys")
		for _, user := range []string{"web", "user"} {
			h.Must("useradd", "--create-home", user)
		}
		h.Must("install", "--directory", "--mode=0777", "/srv/uploads")
		const tcp, path = "127.0.0.1:8080", "/run/app.sock"
		seen := make([]bool, len(proofs))
		systemd := 0
		for _, s := range []*scene{
			{directory: "/srv/app", network: "tcp", address: tcp, reached: "connected"},
			{directory: "/home/web/app", network: "tcp", address: tcp, reached: "ECONNREFUSED", flags: []string{"--run-as", "web", "--network", "none"}},
			{directory: "/var/tmp/app", network: "unix", address: path, reached: "EAFNOSUPPORT", flags: []string{"--network", "none"}},
			{directory: "/home/user/app", network: "tcp", address: tcp, reached: "connected", user: "user"},
		} {
			s.host = h
			s.install()
			for _, l := range s.app.LeftOff() {
				if i := proofOf(t, l); i >= 0 && !seen[i] {
					seen[i] = true
					proofs[i].fails(s, l.Name+"="+l.Value)
				}
			}
			s.uninstall()
			systemd = s.app.Systemd
		}
		for _, l := range everyLeftOff(t, systemd) {
			if i := proofOf(t, l); i >= 0 && !seen[i] {
				t.Errorf("%s=%s: %s: not tried", l.Name, l.Value, l.Reason)
			}
		}
		for i, p := range proofs {
			if !seen[i] {
				t.Logf("not left off for systemd %d, and not tried: %s: %s...", systemd, p.directive, p.reason)
			}
		}
	})
}
