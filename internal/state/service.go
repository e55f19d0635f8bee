package state

// recordRoom bounds the record of a service: a thousand workers, and settings of
// some generations with long commands. Memory that is not written to takes none.
const recordRoom = 4 << 20

// A Service is the state of a whole service.
type Service struct {
	m   *memory
	rec record
}

// Counters are words that a Service keeps; see master for what they count.
type Counters struct {
	Accepted, HandedOver, Redistributed, Ambiguous, ClosedUndelivered uint64
}

const (
	wordAttempts = iota
	wordAccepted
	wordHandedOver
	wordRedistributed
	wordAmbiguous
	wordClosed
)

// NewService gives an empty one.
func NewService() (*Service, error) {
	m, err := create("rondo-state", layout{kind: kindService, record: recordRoom})
	if err != nil {
		return nil, err
	}
	return newService(m, layout{kind: kindService, record: recordRoom}), nil
}

// OpenService gives the one that fd is of, and takes fd when there is no error.
func OpenService(fd int) (*Service, error) {
	m, l, err := open(fd, kindService)
	if err != nil {
		return nil, err
	}
	return newService(m, l), nil
}

func newService(m *memory, l layout) *Service {
	return &Service{m: m, rec: record{m: m, at: l.recordAt(), room: l.record}}
}

// FD is borrowed; -1 where no descriptor can keep the state.
func (s *Service) FD() int { return s.m.fd }

// Close forgets the state, unless somebody else has its descriptor.
func (s *Service) Close() { s.m.close() }

// Save replaces the record. ErrTooLong leaves the one before.
func (s *Service) Save(text []byte) error { return s.rec.save(text) }

// Load gives the record; nothing, when none was saved.
func (s *Service) Load() ([]byte, error) { return s.rec.load() }

// Attempt counts another attempt to adopt this state, and says how many there were
// since Adopted.
func (s *Service) Attempt() int {
	n := s.m.load(word(wordAttempts)) + 1
	s.m.store(word(wordAttempts), n)
	return int(min(n, 1<<30))
}

// Attempts says how many there were since Adopted, without another.
func (s *Service) Attempts() int { return int(min(s.m.load(word(wordAttempts)), 1<<30)) }

// Adopted says that the last attempt went well.
func (s *Service) Adopted() { s.m.store(word(wordAttempts), 0) }

// Count keeps c, word by word: a process that is killed between two of them leaves
// counts of two moments.
func (s *Service) Count(c Counters) {
	s.m.store(word(wordAccepted), c.Accepted)
	s.m.store(word(wordHandedOver), c.HandedOver)
	s.m.store(word(wordRedistributed), c.Redistributed)
	s.m.store(word(wordAmbiguous), c.Ambiguous)
	s.m.store(word(wordClosed), c.ClosedUndelivered)
}

// Counters gives what Count kept.
func (s *Service) Counters() Counters {
	return Counters{
		Accepted: s.m.load(word(wordAccepted)), HandedOver: s.m.load(word(wordHandedOver)),
		Redistributed: s.m.load(word(wordRedistributed)), Ambiguous: s.m.load(word(wordAmbiguous)),
		ClosedUndelivered: s.m.load(word(wordClosed)),
	}
}
