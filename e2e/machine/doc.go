// Package machine boots real systemd machines for tests: a Debian tree under
// systemd-nspawn, one machine a test, thrown away at its end.
//
// A tree is made once by mmdebstrap and kept in the user's cache directory. A
// machine is an overlay over it whose upper directory is a tmpfs, so a boot is
// fast, what a test writes survives [Machine.Reboot], and nothing is left on disk.
// The machine has a network of its own, which [Machine.Dial] reaches from outside.
//
//	m := machine.Boot(t, machine.Config{Suite: machine.Bookworm})
//	m.WriteFile("/etc/systemd/system/app.socket", 0o644, unit)
//	m.Must("systemctl", "daemon-reload")
//	m.Must("systemctl", "start", "app.socket")
//	conn, err := m.Dial(t.Context(), "tcp", "127.0.0.1:8080")
//
// It is for Linux only: a test that uses it is in a file named *_linux_test.go.
// Without root, mmdebstrap, systemd-nspawn or a tree, Boot skips the test and
// says what was not checked; with CI=true it fails.
//
// # Ownership
//
// Everything of a machine hangs on one thread of the test process: its mounts are
// in that thread's mount namespace and systemd-nspawn dies with the thread. So
// nothing outlives the process, even if it is killed, but an empty cgroup, which
// the next Boot removes. A machine ends with its test: cleanup runs Close, which
// fails the test for a failed unit, a process left in a stopped unit, or a message
// of WARNING or worse that allowed.go does not list.
//
// # Errors
//
// A method that only fails if the machine or the test is broken ends the test, so
// it is called from the test's goroutine. What a test may want to fail (Run, Dial,
// Systemctl) returns an error; that of a command is an [*ExitError].
package machine
