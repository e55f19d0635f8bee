//go:build !linux || portable

package sys

// Elsewhere: poll(2), which every Unix has, so that what a Mac runs is tested on Linux,
// too, as kqueue(2) could not be; it is quick enough for the few descriptors of a master.
// A socketpair wakes it.

import (
	"time"

	"golang.org/x/sys/unix"
)

type poller struct {
	in, out int
	fds     []unix.PollFd
	tags    []uint64
	one     [1]byte  // what is written to out
	drain   [64]byte // where it is read to
}

func newPoller() (*poller, error) {
	in, out, err := Socketpair()
	if err != nil {
		return nil, err
	}
	p := &poller{in: in, out: out}
	return p, p.watch(in, WakeTag, Read)
}

func (p *poller) watch(fd int, tag uint64, want Interest) error {
	i := 0
	for i < len(p.fds) && p.fds[i].Fd != int32(fd) {
		i++
	}
	if want == 0 {
		if i < len(p.fds) {
			last := len(p.fds) - 1
			p.fds[i], p.tags[i] = p.fds[last], p.tags[last]
			p.fds, p.tags = p.fds[:last], p.tags[:last]
		}
		return nil
	}
	if i == len(p.fds) {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return err
		}
		p.fds = append(p.fds, unix.PollFd{Fd: int32(fd)})
		p.tags = append(p.tags, 0)
	}
	p.tags[i], p.fds[i].Events = tag, 0
	if want&Read != 0 {
		p.fds[i].Events |= unix.POLLIN
	}
	if want&Write != 0 {
		p.fds[i].Events |= unix.POLLOUT
	}
	return nil
}

func (p *poller) wait(dst []Ready, timeout time.Duration) ([]Ready, error) {
	_, err := unix.Poll(p.fds, milliseconds(timeout))
	if err == unix.EINTR {
		return dst, nil
	}
	if err != nil {
		return dst, err
	}
	for i, f := range p.fds {
		if f.Revents == 0 {
			continue
		}
		if p.tags[i] == WakeTag {
			unix.Read(p.in, p.drain[:])
		}
		gone := f.Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
		dst = append(dst, Ready{
			Tag:   p.tags[i],
			Read:  gone || f.Revents&unix.POLLIN != 0,
			Write: gone || f.Revents&unix.POLLOUT != 0,
		})
	}
	return dst, nil
}

func (p *poller) wake() { unix.Write(p.out, p.one[:]) }

func (p *poller) close() {
	Close(p.in)
	Close(p.out)
}
