package activation_test

import (
	"fmt"
	"net"
	"os"

	"github.com/rondokit/rondo/activation"
)

// A server takes its sockets first thing in main, and serves those named "http", as
// FileDescriptorName=http in the socket unit has it.
func Example() {
	sockets, err := activation.Take()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	var listeners []net.Listener
	for _, s := range sockets {
		if s.Name == "http" && s.Listening {
			l, err := net.FileListener(s.File) // a duplicate
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			listeners = append(listeners, l)
		}
		s.File.Close()
	}
	if len(listeners) == 0 {
		fmt.Println("No socket named http was passed. Start this by: systemctl start app.socket")
	}
	for _, l := range listeners {
		defer l.Close()
		fmt.Println("serving on", l.Addr())
	}
	// Output:
	// No socket named http was passed. Start this by: systemctl start app.socket
}
