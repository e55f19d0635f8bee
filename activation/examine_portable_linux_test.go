//go:build portable

package activation

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEachDescriptorThatCannotBeServedIsNamedAndAllAreClosed(t *testing.T) {
	countDescriptors(t)
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close(); w.Close() })
	good := open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, &unix.SockaddrInet4{Addr: loopback4}) // closed too
	files := []*os.File{good, pipe, pair(t, unix.SOCK_STREAM), pair(t, unix.SOCK_SEQPACKET), open(t, unix.AF_INET, unix.SOCK_STREAM, 0, nil)}
	var want []string
	for i, is := range []string{"is not a socket: ", "is bound to no port: ", "is of address *unix.SockaddrUnix and type 5: ", "is bound to no port: "} {
		want = append(want, fmt.Sprintf("activation: descriptor %d (%q) %s", 4+i, "unknown", is))
	}
	rep := runTake(t, files)
	if got := strings.Split(rep.Err, "\n"); !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("Take() gives the errors\n%s\nwant them to begin\n%s", rep.Err, strings.Join(want, "\n"))
	}
	if len(rep.Sockets) != 0 || rep.Closed != len(files) {
		t.Errorf("Take() = %+v and closed %d, want nothing and %d", rep.Sockets, rep.Closed, len(files))
	}
}
