//go:build !portable

package sys

// Linux: epoll, level-triggered, and an eventfd to wake it.

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

type poller struct {
	epoll, event int
	set          map[int]watched
	buf          [512]unix.EpollEvent // more than there are workers
	one, drain   [8]byte              // what is written to event, and where it is read to
}

type watched struct {
	tag  uint64
	want Interest
}

func newPoller() (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	ev, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, err
	}
	p := &poller{epoll: ep, event: ev, set: map[int]watched{}}
	binary.NativeEndian.PutUint64(p.one[:], 1)
	if err := p.watch(ev, WakeTag, Read); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) watch(fd int, tag uint64, want Interest) error {
	have := p.set[fd]
	if have == (watched{tag, want}) || have.want == 0 && want == 0 {
		return nil
	}
	ev := unix.EpollEvent{Fd: int32(uint32(tag)), Pad: int32(uint32(tag >> 32))}
	if want&Read != 0 {
		ev.Events |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if want&Write != 0 {
		ev.Events |= unix.EPOLLOUT
	}
	op := unix.EPOLL_CTL_MOD
	switch {
	case want == 0:
		op = unix.EPOLL_CTL_DEL
		delete(p.set, fd)
	case have.want == 0:
		op = unix.EPOLL_CTL_ADD
	}
	if err := unix.EpollCtl(p.epoll, op, fd, &ev); err != nil {
		return err
	}
	if want != 0 {
		p.set[fd] = watched{tag, want}
	}
	return nil
}

func (p *poller) wait(dst []Ready, timeout time.Duration) ([]Ready, error) {
	n, err := unix.EpollWait(p.epoll, p.buf[:], milliseconds(timeout))
	if err == unix.EINTR {
		return dst, nil
	}
	if err != nil {
		return dst, err
	}
	for i := range n {
		ev := &p.buf[i]
		tag := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
		if tag == WakeTag {
			unix.Read(p.event, p.drain[:])
		}
		dst = append(dst, Ready{
			Tag:   tag,
			Read:  ev.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLRDHUP|unix.EPOLLERR) != 0,
			Write: ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		})
	}
	return dst, nil
}

func (p *poller) wake() {
	unix.Write(p.event, p.one[:])
}

func (p *poller) close() {
	unix.Close(p.event)
	unix.Close(p.epoll)
}
