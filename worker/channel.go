package worker

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/rondokit/rondo/internal/sys"
)

// channel is our end of the socketpair. Reading is the reader's alone.
type channel struct {
	file *os.File
	raw  syscall.RawConn
	seqs atomic.Int64

	mu     sync.Mutex // guards the writing end: lines go out whole, one after the other
	broken error      // a line was cut; nothing may follow it
}

// openChannel takes fd.
func openChannel(fd int) (*channel, error) {
	if err := sys.Inherit(fd); err != nil {
		return nil, err // fd is not the channel, so it is not ours to close
	}
	c := &channel{file: sys.NewFile(fd, "channel")}
	var err error
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		return nil, err
	}
	return c, nil
}

// next gives the seq of the next message.
func (c *channel) next() int64 { return c.seqs.Add(1) - 1 }

// send returns when all of lines is written. It waits while the master reads
// nothing and the socket is full, which takes thousands of lines; the end of the
// channel releases it.
func (c *channel) send(lines []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		for len(lines) > 0 {
			var n int
			n, err = sys.Send(int(fd), lines, nil)
			if err == syscall.EAGAIN {
				return false
			}
			if err != nil {
				return true
			}
			lines = lines[n:]
		}
		return true
	})
	if err == nil {
		err = werr
	}
	c.broken = err
	return err
}

// receive waits for the next bytes and appends the descriptors that came along to
// fds. n 0 is the end.
func (c *channel) receive(b []byte, fds []int, spare *spare) (n int, got []int, err error) {
	got = fds
	rerr := c.raw.Read(func(fd uintptr) bool {
		spare.receive(func() { n, got, _, err = sys.Recv(int(fd), b, fds) })
		return err != syscall.EAGAIN
	})
	if err == nil {
		err = rerr
	}
	return n, got, err
}

func (c *channel) close() { c.file.Close() }
