package main

// macOS has launchd, and who uses it there is told what that part of rondo has not seen.

const (
	usualInit = byLaunchd
	initHelp  = "\n" + untried
)
