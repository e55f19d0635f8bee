package side

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// freeAddress gives an address on loopback that nobody listens on, for programs that
// cannot be given a socket. Its port is below those of outgoing connections, so that
// none of them takes it meanwhile.
func freeAddress() (string, error) {
	const first = 10_000
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return "", err
	}
	outgoing := 0
	if _, err := fmt.Sscan(string(text), &outgoing); err != nil || outgoing <= first {
		return "", fmt.Errorf("ip_local_port_range %q: want it to begin above %d", text, first)
	}
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(outgoing-first))
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no free port between %d and %d", first, outgoing)
}

// sockets opens n listening sockets on loopback. Whoever gets the files closes them.
func sockets(n int) (addresses []string, files []*os.File, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return addresses, files, err
		}
		f, err := l.(*net.TCPListener).File()
		l.Close()
		if err != nil {
			return addresses, files, err
		}
		addresses, files = append(addresses, l.Addr().String()), append(files, f)
	}
	return addresses, files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
