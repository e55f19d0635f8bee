// Package e2e holds the tests that run rondo's parts together: real masters, real
// worker processes, real clients, and faults. It exports nothing.
package e2e
