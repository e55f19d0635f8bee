//go:build !portable

package activation

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEachDescriptorThatCannotBeServedIsNamedAndAllAreClosed(t *testing.T) {
	countDescriptors(t)
	in4 := &unix.SockaddrInet4{Addr: loopback4}
	files := []*os.File{open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, in4)} // a good one is closed too
	names := []string{"good"}
	var want []string
	add := func(name string, f *os.File, is string) {
		if f == nil {
			return
		}
		want = append(want, fmt.Sprintf("activation: descriptor %d (%q) %s", 3+len(files), name, is))
		files, names = append(files, f), append(names, name)
	}
	fifo, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fifo.Close(); w.Close() })
	add("fifo", fifo, "is a FIFO (pipe:[")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	add("file", openFile(t, file), "is a regular file ("+file+"): remove ListenSpecial=")
	add("dir", openFile(t, t.TempDir()), "is a directory (")
	add("null", openFile(t, "/dev/null"), "is a character device (/dev/null): remove ListenSpecial=")
	add("memfd", rawFile(t)(unix.MemfdCreate("state", unix.MFD_CLOEXEC)), "is a memfd (/memfd:state (deleted)): stop the service")
	add("event", rawFile(t)(unix.Eventfd(0, unix.EFD_CLOEXEC)), "is not a socket (anon_inode:[eventfd]): stop the service")
	add("seqpacket", open(t, unix.AF_UNIX, unix.SOCK_SEQPACKET, 0, nil), "is a unix seqpacket socket: use ListenStream=")
	add("netlink", open(t, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, nil), "is a netlink socket: remove ListenNetlink=")
	add("vsock", open(t, unix.AF_VSOCK, unix.SOCK_STREAM, 0, nil), "is a vsock socket: give ListenStream=")
	add("pair", pair(t, unix.SOCK_STREAM), "is a connected unix socket: set Accept=no")
	add("connected", dialed(t), "is a connected tcp socket: set Accept=no")
	add("grampair", pair(t, unix.SOCK_DGRAM), "is a connected unixgram socket: pass the bound one")
	add("unbound", open(t, unix.AF_INET, unix.SOCK_STREAM, 0, nil), "is a tcp socket that is bound to no address")
	add("unnamed", open(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0, nil), "is a unixgram socket that is bound to no address")

	rep := runTake(t, files, "LISTEN_FDNAMES="+strings.Join(names, ":"))
	got := strings.Split(rep.Err, "\n")
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("Take() gives the errors\n%s\nwant them to begin\n%s", rep.Err, strings.Join(want, "\n"))
	}
	if len(rep.Sockets) != 0 || rep.Closed != len(files) {
		t.Errorf("Take() = %+v and closed %d, want nothing and %d", rep.Sockets, rep.Closed, len(files))
	}
}

func TestADescriptorThatWasNotPassedIsAnErrorAndStaysOpen(t *testing.T) {
	countDescriptors(t)
	f := open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, &unix.SockaddrInet4{Addr: loopback4})
	// From 4 on the child has what the Go runtime opened (the cgroup's CPU limit, the
	// poller) and the pipe that it opens before Take; nothing is on 34.
	rep := runTake(t, []*os.File{f}, "LISTEN_FDS=32")
	for _, want := range []string{
		`descriptor 4 ("unknown") was opened or taken by this process itself (`,
		`descriptor 34 ("unknown") is not open: bad file descriptor: `,
	} {
		if !strings.Contains(rep.Err, want) {
			t.Errorf("Take() gives the errors\n%s\nwant among them %s", rep.Err, want)
		}
	}
	if rep.PipeBroken || rep.Closed != 1 {
		t.Errorf("Take() closed %d descriptors (the pipe: %v), want only the one that was passed", rep.Closed, rep.PipeBroken)
	}
}

func TestKindsThatThisKernelMayLackAreRefusedToo(t *testing.T) {
	tests := []struct {
		domain, typ, protocol int
		want                  string
	}{
		{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP, "is an SCTP socket: remove SocketProtocol=sctp"},
		{unix.AF_INET6, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP, "is an SCTP socket"},
		{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, "is a UDP-Lite socket: remove SocketProtocol=udplite"},
		{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, "is a socket of address family 2, type 3, protocol 1"},
		{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP, "is a socket of address family 2, type 2, protocol 1"},
		{unix.AF_VSOCK, unix.SOCK_DGRAM, 0, "is a vsock socket"},
		{unix.AF_PACKET, unix.SOCK_RAW, 0, "is a socket of address family 17"},
	}
	for _, tt := range tests {
		kind, err := kindOf(tt.domain, tt.typ, tt.protocol)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("kindOf(%d, %d, %d) = %q, %v, want the error %q", tt.domain, tt.typ, tt.protocol, kind, err, tt.want)
		}
	}
}

func TestWhatIsNeitherStoredNorServableClosesAll(t *testing.T) {
	countDescriptors(t)
	in4 := &unix.SockaddrInet4{Addr: loopback4}
	files := []*os.File{
		listen(t, open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4)),
		memfd(t, "rondo", "the state"),
		memfd(t, "rondo", "of another program"),
		pair(t, unix.SOCK_STREAM),
	}
	rep := runTake(t, files, "TEST_STORED=1", "LISTEN_FDNAMES=http:state:l5.listen:w17.other")
	want := []string{
		`activation: descriptor 5 ("l5.listen") is a memfd (`,
		`activation: descriptor 6 ("w17.other") is a connected unix socket: set Accept=no in the socket unit, ` +
			`so that the listening socket is passed; if no unit makes it, stop the service, which empties its file descriptor store`,
	}
	if got := strings.Split(rep.Err, "\n"); !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("TakeWithStored() gives the errors\n%s\nwant them to begin\n%s", rep.Err, strings.Join(want, "\n"))
	}
	if len(rep.Sockets) != 0 || len(rep.Stored) != 0 || rep.Closed != len(files) {
		t.Errorf("TakeWithStored() = %+v, %+v and closed %d, want nothing and %d", rep.Sockets, rep.Stored, rep.Closed, len(files))
	}
}

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// dialed gives a TCP socket with a peer.
func dialed(t *testing.T) *os.File {
	t.Helper()
	l := listen(t, open(t, unix.AF_INET, unix.SOCK_STREAM, 0, &unix.SockaddrInet4{Addr: loopback4}))
	f := open(t, unix.AF_INET, unix.SOCK_STREAM, 0, nil)
	to := &unix.SockaddrInet4{Addr: loopback4, Port: port(t, l)}
	control(t, f, func(fd int) error { return unix.Connect(fd, to) })
	return f
}
