package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// repository is where the sources are.
const repository = ".."

func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// commit is what the packages are told that they are of.
const commit = "0123456789abcdef0123456789abcdef01234567"

// built makes the packages of a copy of the sources, at a path of its own.
func built(t *testing.T, targets string) (dist string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rondo")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, repository, "sh", "-c", `tar --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -xf - -C "$0"`, dir)
	command(t, dir, "env", "SOURCE_DATE_EPOCH=1700000000", "make", "packages", "VERSION=1.2.3", "COMMIT="+commit, "TARGETS="+targets)
	return filepath.Join(dir, "dist")
}

func TestPackagesOfACommitAreTheSameBytes(t *testing.T) {
	targets := "linux/amd64"
	if os.Getenv("RONDO_SOAK") != "" {
		targets = "" // all
	} else {
		t.Logf("packaging: only %s is built; a soak builds all", targets)
	}
	a, b := built(t, targets), built(t, targets)
	sums, others := command(t, a, "cat", "SHA256SUMS"), command(t, b, "cat", "SHA256SUMS")
	if sums != others {
		t.Errorf("two builds of a commit differ:\n%s\n%s", sums, others)
	}
	command(t, a, "sha256sum", "--check", "--strict", "SHA256SUMS")
	for _, pattern := range []string{"rondo_1.2.3-1_amd64.deb", "rondo-1.2.3-1.x86_64.rpm", "rondo-1.2.3-linux-amd64.tar.gz", "rondo-1.2.3-linux-amd64.spdx.json"} {
		if found, _ := filepath.Glob(filepath.Join(a, pattern)); len(found) != 1 {
			t.Errorf("of %s there are %v", pattern, found)
		}
	}
	if t.Failed() {
		return
	}
	holds(t, a)
	lints(t, a)
	if targets == "" {
		formula := command(t, a, "cat", "rondo.rb")
		if strings.Contains(formula, "@") || !strings.Contains(formula, `version "1.2.3"`) {
			t.Errorf("the formula is not filled in: %s", formula)
		}
	}
}

// lints fails the test if the judges of packages have anything against them.
func lints(t *testing.T, dist string) {
	t.Helper()
	debs, _ := filepath.Glob(filepath.Join(dist, "*.deb"))
	rpms, _ := filepath.Glob(filepath.Join(dist, "*.rpm"))
	for _, args := range [][]string{
		append([]string{"lintian", "--fail-on", "error,warning", "--allow-root"}, debs...),
		append([]string{"rpmlint", "--strict", "--config", "lint/rpmlint.toml"}, rpms...),
	} {
		if _, err := exec.LookPath(args[0]); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("missing: %v (packaging/deps.sh installs it)", err)
			}
			t.Logf("not checked by %s: %v", args[0], err)
			continue
		}
		cmd := exec.Command(args[0], args[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v:\n%s", args[0], err, out)
		}
	}
}

// TestFormulaIsRuby reads the formula of Homebrew: no Mac is here to run it.
func TestFormulaIsRuby(t *testing.T) {
	if _, err := exec.LookPath("ruby"); err != nil && os.Getenv("CI") != "true" {
		t.Skipf("not checked that the formula is Ruby: %v (packaging/deps.sh installs it)", err)
	}
	if out := command(t, ".", "ruby", "-wc", "homebrew/rondo.rb"); out != "Syntax OK\n" {
		t.Errorf("ruby says %q", out)
	}
}

// holds fails the test unless the deb has what its users expect, and the program in it
// tells what it is.
func holds(t *testing.T, dist string) {
	t.Helper()
	debs, _ := filepath.Glob(filepath.Join(dist, "rondo_*_amd64.deb"))
	root := filepath.Join(t.TempDir(), "root")
	command(t, ".", "dpkg-deb", "--extract", debs[0], root)
	var files []string
	if err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"/usr/bin/rondo", "/etc/rondo/example.toml.sample", "/usr/share/man/man1/rondo.1.gz", "/usr/share/man/man1/rondo-install.1.gz",
		"/usr/share/man/man5/rondo.toml.5.gz", "/usr/share/man/man7/rondo-protocol.7.gz", "/usr/share/bash-completion/completions/rondo",
		"/usr/share/zsh/vendor-completions/_rondo", "/usr/share/fish/vendor_completions.d/rondo.fish", "/usr/share/doc/rondo/copyright",
		"/usr/share/doc/rondo/changelog.gz", "/usr/share/doc/rondo/changelog.Debian.gz", "/usr/share/doc/rondo/README.md", "/usr/share/doc/rondo/rondo.spdx.json",
	} {
		if !slices.Contains(files, want) {
			t.Errorf("the deb lacks %s", want)
		}
	}
	if said := command(t, ".", root+"/usr/bin/rondo", "version"); !regexp.MustCompile(`^rondo 1\.2\.3 \(commit ` + commit[:12] + `, go\S+, linux/amd64\)\n$`).MatchString(said) {
		t.Errorf("the rondo in the deb says of itself: %q", said)
	}
	linked := command(t, ".", "go", "version", "-m", root+"/usr/bin/rondo")
	copyright, spdx := command(t, root, "cat", "usr/share/doc/rondo/copyright"), command(t, root, "cat", "usr/share/doc/rondo/rondo.spdx.json")
	if !strings.Contains(copyright, "CoreOS Project") {
		t.Error("the copyright file lacks the NOTICE of github.com/coreos/go-systemd")
	}
	modules := 0
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(linked, -1) {
		modules++
		if !strings.Contains(copyright, "Files: "+m[1]+"\n") {
			t.Errorf("the copyright file does not name %s", m[1])
		}
		if !strings.Contains(spdx, `"pkg:golang/`+m[1]+"@"+m[2]+`"`) {
			t.Errorf("the SPDX document does not name %s %s", m[1], m[2])
		}
	}
	if modules < 5 {
		t.Errorf("%d modules are linked in, which are too few to be all", modules)
	}
}
