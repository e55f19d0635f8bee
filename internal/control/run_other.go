//go:build !darwin

package control

// The directory is systemd's to make, and to remove.

const systemDirectory = "/run/rondo"
