package ledger

import "fmt"

// Overflow is what the kernel counted of connections that a full accept queue
// turned away. On loopback each is a silent SYN retry: lost, and unseen by the
// one that connects but for the second it takes.
type Overflow struct {
	Overflows uint64 // ListenOverflows: the queue was full
	Drops     uint64 // ListenDrops: for that or any other reason
	Retries   uint64 // TCPSynRetrans: SYNs that were sent again, from here
}

// Overflows reads the kernel's counters, which are of the whole network
// namespace of this process and never go down: a test asserts that they are the
// same before and after. It wraps errors.ErrUnsupported where there are none.
func Overflows() (Overflow, error) {
	o, err := overflows()
	if err != nil {
		return Overflow{}, fmt.Errorf("ledger: read listen overflows: %w", err)
	}
	return o, nil
}
