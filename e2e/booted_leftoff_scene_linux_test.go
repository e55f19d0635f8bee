//go:build linux && !portable

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"strings"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/units"
)

// scene is an install of testdata/leftoff.js, whose sandbox is tried.
type scene struct {
	*host
	directory        string
	network, address string   // of its socket
	user             string   // whose manager it is; "" is the system's
	reached          string   // what comes of asking the machine
	flags            []string // of install

	app    units.App
	units  string            // the directory of its units
	usual  map[string]string // what the program answers without a drop-in
	spaces string            // of the master, without a drop-in
}

// keyName is of a key of this run alone.
var keyName = fmt.Sprint("rondo-e2e-", os.Getpid())

// install installs the app.
func (s *scene) install() {
	s.t.Helper()
	text, err := os.ReadFile("testdata/leftoff.js")
	if err != nil {
		s.t.Fatal(err)
	}
	s.WriteFile(s.directory+"/server.js", 0o644, strings.Replace(string(text), "KEY", keyName, 1))
	s.units = "/etc/systemd/system"
	args := []string{"/usr/local/bin/rondo", "install", "--name", "app", "--workers", "1", "--backoff", "10ms..20ms"}
	if s.user != "" {
		s.prepareUser()
		args = append(args, "--user")
	} else {
		args = append(args, "--write", "/srv/uploads")
	}
	listen := "8080=3000"
	if s.network == "unix" {
		listen = "unix:" + s.address + "=3000"
	}
	args = append(append(args, "--listen", listen), s.flags...)
	s.must(append(args, "--", "node", "server.js")...)
	unit, err := s.ReadFile(path.Join(s.units, "app.service"))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.app, err = (units.File{Name: "app.service", Text: unit}).App(); err != nil {
		s.t.Fatal(err)
	}
	s.tryAll()
	s.explained()
	if s.user == "" {
		s.t.Logf("exposure of the app in %s: %v", s.directory, s.exposure())
	}
}

// tryAll notes how it is without a drop-in, when all goes which directives prevent.
func (s *scene) tryAll() {
	s.t.Helper()
	s.usual = s.answer()
	s.spaces = s.namespaces()
	for key, want := range map[string]string{
		"others": s.reached, "itself": "connected", "batch": "0", "interfaces": "lo", "processors": s.Must("nproc"),
	} {
		if s.reached == "EAFNOSUPPORT" && key == "itself" {
			want = "EAFNOSUPPORT"
		}
		if s.usual[key] != want {
			s.t.Errorf("in %s without a drop-in the worker tells %s %q, want %q", s.directory, key, s.usual[key], want)
		}
	}
}

// prepareUser starts the manager of the user, and gives him a key.
func (s *scene) prepareUser() {
	s.t.Helper()
	s.Must("chown", "-R", s.user+":", s.directory)
	s.Must("loginctl", "enable-linger", s.user)
	s.Must("systemctl", "start", "user@"+s.Must("id", "--user", s.user)+".service")
	s.units = "/home/" + s.user + "/.config/systemd/user"
	// Keys are not of the machine: the user of this number has them out here too.
	if _, err := s.run("/usr/local/bin/keys", "add", keyName); err != nil {
		s.t.Logf("no keyring: %v", err)
		return
	}
	s.t.Cleanup(func() { s.run("/usr/local/bin/keys", "remove", keyName) })
}

// uninstall sees that all goes again without a drop-in, and removes the app.
func (s *scene) uninstall() {
	s.t.Helper()
	s.switchOn()
	if err := s.restart(); err != nil {
		s.t.Fatal(err)
	}
	if got := s.answer(); !maps.Equal(got, s.usual) {
		s.t.Errorf("without the drop-ins the worker tells %v, want %v", got, s.usual)
	}
	s.Must("rm", "-r", path.Join(s.units, "app.service.d"))
	args := []string{"/usr/local/bin/rondo", "uninstall", "app"}
	if s.user != "" {
		args = append(args, "--user")
	}
	s.must(args...)
}

// run runs a command in the app's directory, as the one who installed it.
func (s *scene) run(args ...string) (string, error) {
	return s.RunIn(machine.Command{Args: args, Dir: s.directory, User: s.user})
}

func (s *scene) must(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// systemctl calls the manager of the app.
func (s *scene) systemctl(args ...string) (string, error) {
	if s.user != "" {
		args = append([]string{"--user"}, args...)
	}
	return s.run(append([]string{"systemctl", "--no-pager"}, args...)...)
}

// property gives one of the service.
func (s *scene) property(name string) string {
	s.t.Helper()
	out, err := s.systemctl("show", "--value", "--property="+name, "app.service")
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// switchOn writes the drop-in of the service.
func (s *scene) switchOn(lines ...string) {
	s.t.Helper()
	s.WriteFile(path.Join(s.units, "app.service.d", "on.conf"), 0o644, "[Service]\n"+strings.Join(lines, "\n")+"\n")
	if _, err := s.systemctl("daemon-reload"); err != nil {
		s.t.Fatal(err)
	}
}

// restart starts the service anew, on a clean slate. The error is that of the start.
func (s *scene) restart() error {
	s.t.Helper()
	if _, err := s.systemctl("stop", "app.service"); err != nil {
		s.t.Fatal(err)
	}
	_, err := s.systemctl("start", "app.service")
	return err
}

// answer is what the program answers.
func (s *scene) answer() map[string]string {
	s.t.Helper()
	got := make(map[string]string)
	if err := json.Unmarshal([]byte(s.get(s.network, s.address)), &got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// namespaces tells of those of the master, and of its capabilities.
func (s *scene) namespaces() string {
	s.t.Helper()
	pid := s.property("MainPID")
	return s.Must("sh", "-c", fmt.Sprintf("readlink /proc/%s/ns/*; grep CapBnd /proc/%[1]s/status", pid))
}

// explained fails the test unless for all that systemd finds wanting something is
// left off.
func (s *scene) explained() {
	s.t.Helper()
	args := []string{"systemd-analyze", "--no-pager", "security", "--json=short", "app.service"}
	if s.user != "" {
		args = append(args, "--user")
	}
	var findings []struct {
		Name     string
		Exposure *string
	}
	if err := json.Unmarshal([]byte(s.must(args...)), &findings); err != nil {
		s.t.Fatal(err)
	}
	off := map[string]bool{
		"DeviceAllow": true, // what PrivateDevices= gives, and the clock, which ProtectClock= lets be read
		"User":        s.user != "",
	}
	for _, l := range s.app.LeftOff() {
		off[l.Name] = true
	}
	for _, f := range findings {
		if name, _, _ := strings.Cut(f.Name, "="); f.Exposure != nil && !off[name] {
			s.t.Errorf("in %s systemd-analyze security misses %s (%s), of which the unit tells no reason", s.directory, f.Name, *f.Exposure)
		}
	}
}
