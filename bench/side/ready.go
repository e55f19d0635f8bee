package side

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/bench/load"
)

// A signal is a side's own word that it serves.
type signal struct {
	path  string
	ready chan struct{} // closed when it came
	at    time.Time     // when; once ready
}

func (r *Running) newSignal(name string) *signal {
	return &signal{path: filepath.Join(r.dir, name), ready: make(chan struct{})}
}

// wait waits until p has given the signal and then answers, and notes how long the
// first took.
func (r *Running) wait(ctx context.Context, p *process, s *signal) error {
	if err := p.await(ctx, s.ready); err != nil {
		return err
	}
	r.Took = s.at.Sub(p.began)
	for _, address := range r.Addresses { // it says so with its first socket
		if err := r.answers(ctx, p, address); err != nil {
			return err
		}
	}
	return nil
}

// answers waits for a first answered request.
func (r *Running) answers(ctx context.Context, p *process, address string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New(p.name+" does not answer"))
	defer cancel()
	for {
		_, err := load.Once(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return p.early()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(time.Millisecond):
		}
	}
}

// connected gives the signal of the apps: a connection to a socket.
func (r *Running) connected() (*signal, error) {
	s := r.newSignal("ready")
	l, err := net.Listen("unix", s.path)
	if err != nil {
		return nil, err
	}
	go func() { // ends with l
		if c, err := l.Accept(); err == nil {
			s.at = time.Now()
			c.Close()
			close(s.ready)
		}
	}()
	r.stops = append(r.stops, l.Close)
	return s, nil
}

// notified gives the signal of a service: READY=1 to its manager. As a manager it takes
// the descriptors that are to be stored, and lets them go.
func (r *Running) notified() (*signal, error) {
	s := r.newSignal("notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	var once sync.Once
	go func() { // ends with c
		text, rights := make([]byte, 4096), make([]byte, 4096)
		for {
			n, m, _, _, err := c.ReadMsgUnix(text, rights)
			if err != nil {
				return
			}
			closeRights(rights[:m])
			if strings.Contains("\n"+string(text[:n])+"\n", "\nREADY=1\n") {
				once.Do(func() { s.at = time.Now(); close(s.ready) })
			}
		}
	}()
	r.stops = append(r.stops, c.Close)
	return s, nil
}

// closeRights closes the descriptors of a message.
func closeRights(control []byte) {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		fds, _ := unix.ParseUnixRights(&m)
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}
