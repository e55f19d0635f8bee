package master

// Version is what this build calls itself. The program's build sets it.
var Version = "0.0.0-dev"
