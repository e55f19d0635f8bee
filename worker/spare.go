package worker

import (
	"os"
	"sync"
)

// spare is a descriptor held in reserve. net.FileConn needs two for a moment, so a
// process whose table is full of connections that it answered for could give none
// of them to the application, and never get free. With the spare it can, one by one.
type spare struct {
	mu   sync.Mutex // guards file, and while held no connection arrives
	file *os.File
}

func newSpare() *spare {
	s := &spare{}
	s.refill()
	return s
}

// lend calls use while the spare's place in the table is free. use gives a place
// back on success.
func (s *spare) lend(use func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeFile(s.file)
	s.file = nil
	use()
	s.refill()
}

// receive calls recv, which may open descriptors, when none of them can take the
// place of a spare that is lent or was lost.
func (s *spare) receive(recv func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		s.refill()
	}
	recv()
}

func (s *spare) refill() { s.file, _ = os.Open(os.DevNull) }

func (s *spare) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeFile(s.file)
	s.file = nil
}
