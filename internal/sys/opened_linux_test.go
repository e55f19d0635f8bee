//go:build !portable

package sys

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestOpenedNamesTheSocketsOfAProcessButForTheKnown(t *testing.T) {
	listen := func(network, address string) (name string, conn syscall.Conn) {
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln.Addr().String(), ln.(syscall.Conn)
	}
	four, _ := listen("tcp4", "127.0.0.1:0")
	six, _ := listen("tcp6", "[::1]:0")
	path, _ := listen("unix", filepath.Join(t.TempDir(), "s"))
	ours, known := listen("tcp", "127.0.0.1:0")
	fd, err := DupFile(known)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	inode, err := Inode(fd)
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", ours)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0") // on a port that the kernel chose, as a client's
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	got := Opened([]int{os.Getpid(), 1 << 30}, map[uint64]bool{inode: true})
	list, ok := got[os.Getpid()]
	if _, other := got[1<<30]; !ok || other {
		t.Fatalf("Opened = %v, want this process and not one that is none", got)
	}
	for _, want := range []string{four, six, "unix:" + path} {
		if !slices.Contains(list, want) {
			t.Errorf("%q lacks %s", list, want)
		}
	}
	for _, no := range []string{ours, "udp:" + packets.LocalAddr().String()} {
		if slices.Contains(list, no) {
			t.Errorf("%q has %s", list, no)
		}
	}
}

func TestOpenedNamesDatagramSocketsOfServers(t *testing.T) {
	for port := 1024; port < firstEphemeral(); port++ {
		conn, err := net.ListenPacket("udp", (&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
		if err != nil {
			continue // taken
		}
		defer conn.Close()
		want := "udp:" + conn.LocalAddr().String()
		if list := Opened([]int{os.Getpid()}, nil)[os.Getpid()]; !slices.Contains(list, want) {
			t.Errorf("%q lacks %s", list, want)
		}
		return
	}
	t.Fatal("no port is free")
}
