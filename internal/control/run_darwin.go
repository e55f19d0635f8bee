package control

// macOS has no /run, and launchd makes no directory for a job: rondo install does, once,
// where it outlives a restart of the machine.

const systemDirectory = LaunchdDirectory
