package sys

// Linux: epoll, level-triggered, and an eventfd to wake it.

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

type poller struct {
	epoll, event int
	set          map[int]Interest
	buf          [128]unix.EpollEvent
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
	p := &poller{epoll: ep, event: ev, set: map[int]Interest{}}
	if err := p.watch(ev, WakeTag, Read); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) watch(fd int, tag uint64, want Interest) error {
	have := p.set[fd]
	if want == have {
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
	case have == 0:
		op = unix.EPOLL_CTL_ADD
	}
	if err := unix.EpollCtl(p.epoll, op, fd, &ev); err != nil {
		return err
	}
	if want != 0 {
		p.set[fd] = want
	}
	return nil
}

func (p *poller) wait(dst []Ready, timeout time.Duration) ([]Ready, error) {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(p.epoll, p.buf[:], ms)
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
			var b [8]byte
			unix.Read(p.event, b[:])
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
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(p.event, one[:])
}

func (p *poller) close() {
	unix.Close(p.event)
	unix.Close(p.epoll)
}
