package sys

import (
	"math"
	"time"
)

// Interest is what to wait for on a descriptor.
type Interest uint8

const (
	Read  Interest = 1 << iota // readable, or the other end is gone
	Write                      // writable, or the other end is gone
)

// WakeTag is the tag of a Ready that stands for a call of Wake.
const WakeTag = ^uint64(0)

// Ready is one descriptor that can be read or written.
type Ready struct {
	Tag         uint64
	Read, Write bool
}

// A Poller waits for many descriptors at once. All methods but Wake belong to
// one goroutine. It borrows what it watches: unwatch before closing.
type Poller struct{ p *poller }

// NewPoller gives a Poller that watches nothing.
func NewPoller() (*Poller, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &Poller{p}, nil
}

// Watch waits for want on fd from now on, in place of what it waited for before;
// 0 means nothing. Level-triggered: a Ready comes each time while it lasts.
func (p *Poller) Watch(fd int, tag uint64, want Interest) error { return p.p.watch(fd, tag, want) }

// Wait appends what is ready to dst. It returns when something is, after timeout,
// after Wake, or when a signal has come. A negative timeout means none.
func (p *Poller) Wait(dst []Ready, timeout time.Duration) ([]Ready, error) {
	return p.p.wait(dst, timeout)
}

// Wake makes the current or the next Wait return. It may be called at any time
// before Close, from any goroutine.
func (p *Poller) Wake() { p.p.wake() }

// Close frees the Poller; the descriptors it watched stay open.
func (p *Poller) Close() { p.p.close() }

// milliseconds is timeout as the kernel takes it, a C int: rounded up, so that a
// deadline has passed when Wait returns, and cut at 24 days.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	ms := timeout / time.Millisecond
	if timeout%time.Millisecond > 0 {
		ms++
	}
	return int(min(ms, math.MaxInt32))
}
