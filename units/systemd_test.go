package units

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
)

// needTool skips a test where tool is missing, saying what was not checked; else
// it gives the tool's version of systemd.
func needTool(t *testing.T, tool, what string) int {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s was not found: not checked: %s", tool, what)
	}
	out, err := exec.Command(tool, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", tool, err)
	}
	found := regexp.MustCompile(`^systemd (\d+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("%s --version prints %q", tool, out)
	}
	version, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// place writes units into a directory that every user may read, for a rondo that
// exists, and gives their paths.
func place(t *testing.T, list []File) []string {
	t.Helper()
	directory := t.TempDir()
	if err := os.Chmod(filepath.Dir(directory), 0o755); err != nil { // 0700, and systemd is run as nobody
		t.Fatal(err)
	}
	var paths []string
	for _, f := range list {
		path := filepath.Join(directory, f.Name)
		text := regexp.MustCompile(`(?m)^(Exec\w+=\+?)\S*/rondo `).ReplaceAllString(f.Text, "${1}/bin/true ")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestVerifyIsSilent(t *testing.T) {
	version := needTool(t, "systemd-analyze", "that systemd reads the units without a warning")
	for _, systemd := range classes {
		t.Run(fmt.Sprint(systemd), func(t *testing.T) {
			if systemd > version {
				t.Skipf("systemd-analyze is %d: not checked: that it reads units for %d without a warning", version, systemd)
			}
			for name, change := range cases(t) {
				list := files(t, systemd, change)
				args := append([]string{"verify"}, place(t, list)...)
				if strings.Contains(list[len(list)-1].Text, "systemctl --user") {
					args = append([]string{"--user"}, args...)
				}
				cmd := exec.CommandContext(t.Context(), "systemd-analyze", args...)
				cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%s: systemd-analyze verify: %v\n%s", name, err, out)
				}
			}
		})
	}
}

// maxExposure is what the default sandbox promises.
const maxExposure = "20" // tenths

func TestDefaultExposureIsAtMostTwo(t *testing.T) {
	version := needTool(t, "systemd-analyze", "how exposed the default is")
	for _, systemd := range classes {
		t.Run(fmt.Sprint(systemd), func(t *testing.T) {
			if systemd > version {
				t.Skipf("systemd-analyze is %d: not checked: how exposed units for %d are", version, systemd)
			}
			paths := place(t, files(t, systemd, func(*App) {}))
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager",
				"--threshold="+maxExposure, paths[len(paths)-1]).CombinedOutput()
			if err != nil {
				t.Fatalf("systemd-analyze security: %v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Log(lines[len(lines)-1])
		})
	}
}

// What systemd-analyze finds without a tick is left off for a reason, and the
// unit says which.
func TestWhatSystemdMissesIsExplained(t *testing.T) {
	version := needTool(t, "systemd-analyze", "that every directive left off is explained")
	for name, change := range cases(t) {
		a := simple(t, oldest)
		change(&a)
		if a.Unconfined || a.UserManager || version < oldest {
			continue
		}
		paths := place(t, files(t, oldest, change))
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--json=short", paths[len(paths)-1]).Output()
		if err != nil {
			t.Fatalf("systemd-analyze security: %v", err)
		}
		var findings []struct {
			Set      *bool
			Name     string
			Exposure *string
		}
		if err := json.Unmarshal(out, &findings); err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Exposure == nil || f.Name == "DeviceAllow=" { // the clock, which ProtectClock=yes lets be read
				continue
			}
			if !explains(a.LeftOff(), f.Name) {
				t.Errorf("%s: systemd-analyze misses %s (%s), and LeftOff has no reason", name, f.Name, *f.Exposure)
			}
		}
	}
}

// explains finds one of systemd-analyze's names among left: "A=/B=" is either,
// and "A=~B_(C|D)" is B_C, B_D or both.
func explains(left []LeftOff, name string) bool {
	return slices.ContainsFunc(left, func(l LeftOff) bool {
		key, value, _ := strings.Cut(name, "=")
		if value == "" || strings.HasPrefix(value, "/") {
			return l.Name == key
		}
		family, _, _ := strings.Cut(value, "(")
		return l.Name == key && strings.HasPrefix(l.Value, family)
	})
}

// The manager itself reads the units: in test mode it prints what it understood.
func TestTheManagerUnderstandsWhatWasMeant(t *testing.T) {
	const manager = "/lib/systemd/systemd"
	if version := needTool(t, manager, "what systemd reads in values with odd characters"); version != oldest {
		t.Skipf("%s is %d: not checked: what it reads, since it prints that otherwise than %d", manager, version, oldest)
	}
	a := App{Name: "app", User: "app", Program: "/usr/bin/node", Config: "/etc/rondo/50% $HOME \\ 'a' \"b\".toml", Directory: "/srv/50% \\ 'a' \"b\""}
	var want []string
	for i, value := range nasty {
		if checkText(value) == nil {
			a.Environment = append(a.Environment, fmt.Sprintf("V%d=%s", i, value))
			want = append(want, fmt.Sprintf("Environment: V%d=%s", i, value))
		}
		if path := "/x" + value; checkPath(path) == nil && !strings.ContainsAny(path, `*?[\`) {
			a.EnvironmentFiles = append(a.EnvironmentFiles, path)
			want = append(want, "EnvironmentFile: "+path)
		}
		if path := "/s" + value; !strings.ContainsFunc(path, forgotten) && strings.TrimSpace(path) == path {
			a.Listeners = append(a.Listeners, Listener{Listen: settings.Listen{Kind: settings.KindUnix, Path: path}})
			want = append(want, "ListenStream: "+path)
		}
	}
	want = append(want, "WorkingDirectory: "+a.Directory)
	list, err := a.Files(testVersion)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list { // the machine's targets are not there
		list[i].Text = strings.Replace(list[i].Text, "[Unit]\n", "[Unit]\nDefaultDependencies=no\n", 1)
	}
	lines := dump(t, manager, filepath.Dir(place(t, list)[0]))
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("the manager does not print %q", line)
		}
	}
	command := `/bin/true run --config "/etc/rondo/50% \$\$HOME \\ 'a' \"b\".toml"`
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Command Line: "+command) }) {
		i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "Command Line") })
		t.Errorf("the manager prints %q, want %s", lines[max(i, 0)], command)
	}
}

// dump is what the manager prints of the units in directory, line by line. It
// refuses to run as root.
func dump(t *testing.T, manager, directory string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), manager, "--test", "--system", "--unit=app.service", "--log-target=console", "--no-pager")
	cmd.Env = []string{"SYSTEMD_UNIT_PATH=" + directory, "HOME=/nonexistent", "PATH=/usr/bin:/bin"}
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "Failed to allocate manager object") {
		t.Skipf("%s has not the cgroups it wants here: not checked: what it reads in values with odd characters", manager)
	}
	if err != nil {
		t.Fatalf("%s --test: %v\n%s", manager, err, out)
	}
	lines := strings.Split(string(out), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimLeft(line, "\t"), "-> ")
	}
	return lines
}
