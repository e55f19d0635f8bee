//go:build !linux || portable

package notify

// Other systems have no manager that speaks this protocol. An address all the same is
// not ignored: somebody would wait for a message that never comes.

import (
	"errors"
	"time"
)

type socket struct{ address string }

func open(string) (*socket, error) { return nil, errors.ErrUnsupported }

func (s *socket) send(payload []byte, fds []int) error { return errors.ErrUnsupported }

func (s *socket) close() error { return nil }

// monotonic is never sent.
func monotonic() time.Duration { return 0 }
