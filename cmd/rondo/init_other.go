//go:build !darwin

package main

// Elsewhere systemd is what rondo was made for.

const (
	usualInit = bySystemd
	initHelp  = ""
)
