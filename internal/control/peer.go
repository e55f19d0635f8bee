package control

import (
	"fmt"
	"net"
	"os"
)

// peer is who is at the other end of a connection: who connected or, for a
// caller, who called listen.
type peer struct{ uid, pid int }

// peerOf asks the kernel, which nobody can lie to. It borrows conn.
func peerOf(conn *net.UnixConn) (peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var p peer
	if cerr := raw.Control(func(fd uintptr) { p, err = credentials(int(fd)) }); cerr != nil {
		return peer{}, cerr
	}
	return p, err
}

// allowed says whether p may give orders: our own user, or root.
func (p peer) allowed() error {
	if p.uid == 0 || p.uid == os.Getuid() {
		return nil
	}
	return fmt.Errorf("uid %d may not use the control socket of uid %d: run it as that user, or by sudo", p.uid, os.Getuid())
}
