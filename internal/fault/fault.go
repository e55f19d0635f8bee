// Package fault is where tests have a master end, stop or wait at a point of their
// choice. A program that is built without the tag faults has nothing of it.
//
// The file that RONDO_FAULT_FILE names holds one line: how, how many times to pass by
// first, and the point, as in
//
//	kill 3 after send
//
// How is kill (SIGKILL), stop (SIGSTOP), panic, exit, or a duration to wait. When the
// point is reached that often, the file is removed first, so that the next program
// goes on. What is passed by is counted in the process.
//
// # Ownership
//
// At may be called from any goroutine.
//
// # Errors
//
// A line that cannot be meant panics: a test is wrong.
package fault
