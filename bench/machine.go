package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// describe says what machine this is, and which versions take part. A program that is
// not there is an error: better now than in an hour.
func describe(ctx context.Context, h *side.Host) (result.Machine, error) {
	m := result.Machine{
		Processor:  valueOf("/proc/cpuinfo", "model name", ":"),
		Processors: runtime.NumCPU(),
		System:     strings.Trim(valueOf("/etc/os-release", "PRETTY_NAME", "="), `"`),
	}
	var info unix.Sysinfo_t
	var name unix.Utsname
	if err := unix.Sysinfo(&info); err != nil {
		return m, os.NewSyscallError("sysinfo", err)
	}
	if err := unix.Uname(&name); err != nil {
		return m, os.NewSyscallError("uname", err)
	}
	const gib = 1 << 30
	m.Memory = fmt.Sprintf("%d GiB", (uint64(info.Totalram)*uint64(info.Unit)+gib/2)/gib)
	m.Kernel = unix.ByteSliceToString(name.Release[:])
	for _, program := range []struct {
		name string
		args []string
	}{
		{"rondo", []string{h.Rondo, "version"}},
		{"wrk", []string{"wrk", "-v"}},
		{"HAProxy", []string{"haproxy", "-v"}},
		{"nginx", []string{"nginx", "-v"}},
		{"systemd", []string{"systemd-socket-activate", "--version"}},
		{"Node", []string{"node", "--version"}},
	} {
		version, err := versionOf(ctx, program.args)
		if err != nil {
			return m, fmt.Errorf("%s: %w: make bench-deps installs it", program.name, err)
		}
		m.Programs = append(m.Programs, result.Program{Name: program.name, Version: version})
	}
	m.Programs = append(m.Programs,
		result.Program{Name: "pm2", Version: strings.Trim(valueOf(filepath.Join(h.NPM, "node_modules/pm2/package.json"), `"version"`, ":"), `",`)},
		result.Program{Name: "Go", Version: runtime.Version()})
	return m, nil
}

// versionOf is the first line that a program prints. wrk exits with 1.
func versionOf(ctx context.Context, args []string) (string, error) {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	if line == "" {
		return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(line), nil
}

// valueOf gives what follows a key in a file of keys and values, or "unknown".
func valueOf(path, key, separator string) string {
	text, _ := os.ReadFile(path) // without it, no line is found
	for line := range strings.Lines(string(text)) {
		k, v, ok := strings.Cut(line, separator)
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
