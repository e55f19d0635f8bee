// Package worker makes a program a worker: one of several processes that serve
// the connections of the same listeners, started by a rondo master.
//
// Join takes the channel that the master left for this process. Listen then asks
// the master for a listener; its Accept returns connections that the master
// accepted and handed over. When the master wants the worker gone, as at a reload,
// Draining is closed, Accept returns what had been handed over before and then
// net.ErrClosed; the program finishes what it holds and returns from main. Serve
// does that for an *http.Server.
//
// The same program runs without a master. Listen then serves the sockets that the
// service manager passed (systemd's LISTEN_FDS) and binds what is not among them;
// nobody but Drain asks it to drain. It also runs under the primary of Node's
// cluster module, which speaks the same protocol.
//
// # Ownership
//
// A process has one Worker. Join starts one goroutine, which reads the channel and
// ends when the channel does: at Leave, or when the master closes its end. A
// connection is this process's once the master has been told so, which is before
// Accept returns it; it is then an ordinary *net.TCPConn or *net.UnixConn that the
// caller must close. Connections that a program never took from a listener are
// closed by Leave.
//
// # Errors
//
// Errors of Listen, Accept and Close are *net.OpError like those of package net,
// with the errno within reach of errors.Is: EADDRINUSE when the master could not
// bind, net.ErrClosed when the worker drains. What the platform or a master cannot
// do wraps errors.ErrUnsupported. Nothing that comes from the channel is trusted: what
// cannot be understood is logged once and dropped.
package worker
