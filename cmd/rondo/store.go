package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/internal/cgroup"
	"github.com/rondokit/rondo/internal/fault"
	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/master"
)

const (
	// storePatience is how long the service manager may take to say that it has what it
	// was given. One that hangs must not keep a worker from its connections.
	storePatience = 5 * time.Second

	// sizePatience is how long it may take to say how large its store is. The start waits
	// for that where its environment does not tell.
	sizePatience = time.Second

	// shortTries is how often something is given to a service manager that the kernel has
	// no means to pass it to. The messages behind it, of which the watchdog's is one, wait.
	shortTries = int(storePatience / sendAgain)
)

// store is the service manager's, for the master. Its messages go in order with the
// teller's others.
type store struct {
	teller *teller
	log    *slog.Logger
	need   int // by the settings

	mu    sync.Mutex // guards the rest
	size  int
	given int              // names so far
	kept  map[string]int   // by name, which it was of those given; 0: it was there before
	left  map[string]bool  // by name, what did not fit
	lost  map[string]error // by name, what was not taken, and why
	told  bool             // that something did not fit
}

var _ master.Store = (*store)(nil)

// newStore gives the service manager's store, or nil where there is none.
func newStore(ctx context.Context, n *notify.Notifier, t *teller, cfg *master.Config) *store {
	s := makeStore(t, cfg.Logger, cfg.StoreSize(), n.StoreMax())
	if s.size == 0 && cgroup.Unit() == "" {
		return nil
	}
	if s.size == 0 { // systemd before 254 tells it nowhere else
		var err error
		if s.size, err = storeMax(ctx); err != nil || s.size == 0 {
			s.log.Error("the service manager tells of no store for this service: its workers end with the master when that is killed; "+
				"set FileDescriptorStoreMax= of the service, or let rondo install --refresh write it", "need", s.need)
			return nil
		}
	}
	for name := range cfg.Stored {
		if !strings.HasSuffix(name, ".out") && !strings.HasSuffix(name, ".err") { // which an upgrade alone hands over
			s.kept[name] = 0
		}
	}
	s.complain()
	return s
}

func makeStore(t *teller, log *slog.Logger, need, size int) *store {
	return &store{teller: t, log: log, need: need, size: size, kept: map[string]int{}, left: map[string]bool{}, lost: map[string]error{}}
}

// storeMax asks the service manager for the size of the store of this service.
func storeMax(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, sizePatience)
	defer cancel()
	scope := systemd.System
	if os.Getenv("MANAGERPID") != "" { // which only a user's manager gives
		scope = systemd.User
	}
	m, err := systemd.Connect(ctx, scope)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	u, err := m.Unit(ctx, cgroup.Unit())
	return u.StoreMax, err
}

// check looks whether the store is as large as the environment tells, which a drop-in
// may have made untrue.
func (s *store) check(ctx context.Context) {
	if s == nil || cgroup.Unit() == "" {
		return
	}
	size, err := storeMax(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && size < s.size {
		s.size = size
		s.complain()
		s.shrunk()
	}
}

// shrunk notes what has not fitted, with the size that the store has: what was given last.
func (s *store) shrunk() {
	names := slices.SortedFunc(maps.Keys(s.kept), func(a, b string) int { return s.kept[b] - s.kept[a] })
	for _, name := range names {
		if len(s.kept) <= s.size || s.kept[name] == 0 {
			return
		}
		delete(s.kept, name)
		s.left[name] = true
	}
}

// complain says that the settings need a larger store.
func (s *store) complain() {
	if s.size < s.need {
		s.log.Error("the service manager's store is too small: workers that do not fit end with the master when it is killed; "+
			"raise FileDescriptorStoreMax= of the service, or let rondo install --refresh write it", "have", s.size, "need", s.need)
	}
}

// suffices says why the workers would not all outlive the master.
func (s *store) suffices() error {
	if s == nil {
		return nil // the master knows
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, err := range s.lost {
		return fmt.Errorf("not all workers are kept for the next master: %s could not be given to the service manager: %w", name, err)
	}
	if len(s.left) > 0 || len(s.kept) > s.size { // in the latter case before an upgrade
		return fmt.Errorf("not all workers are kept for the next master: FileDescriptorStoreMax=%d of the service is too small", s.size)
	}
	return nil
}

func (s *store) Keep(name string, fd int) {
	s.enter(name)
	dup, err := sys.Dup(fd) // it may be closed before the message is sent
	if err != nil {
		s.lose(name, err)
		return
	}
	s.teller.queue(s.giving(name, dup, s.teller.notifier.Store), true)
}

// giving is the message that gives fd, which it takes, to the service manager.
func (s *store) giving(name string, fd int, give func(string, ...int) error) func() error {
	tries := 0
	return func() error {
		err := give(name, fd)
		if tries++; isShort(err) && tries < shortTries {
			return errSendAgain
		}
		if isQueueFull(err) {
			return err
		}
		sys.Close(fd)
		if err != nil {
			s.lose(name, err)
		}
		return nil
	}
}

// isShort tells of what the kernel may have again in a moment: memory, and room for
// descriptors that are under way.
func isShort(err error) bool {
	return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ETOOMANYREFS)
}

// lose notes that what name is of does not outlive the master.
func (s *store) lose(name string, err error) {
	s.log.Error("the service manager was not given what the next master needs: a crash of this one would end its worker", "listener", name, "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[name] = err
}

// enter notes that name is given to the store, or that it does not fit any more.
func (s *store) enter(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given++; len(s.kept) < s.size {
		s.kept[name] = s.given
		return
	}
	s.left[name] = true
	if !s.told && s.size >= s.need { // else that was told
		s.told = true
		s.log.Error("the service manager's store is full: workers that do not fit end with the master when it is killed; "+
			"raise FileDescriptorStoreMax= of the service", "have", s.size)
	}
}

func (s *store) Drop(name string) {
	s.mu.Lock()
	delete(s.kept, name)
	delete(s.left, name)
	delete(s.lost, name)
	s.mu.Unlock()
	s.teller.queue(func() error { return s.teller.notifier.Remove(name) }, true)
}

func (s *store) Sync(done func()) {
	s.teller.queue(func() error {
		fault.At("before barrier")
		barrier, err := s.teller.notifier.Barrier()
		if isQueueFull(err) {
			return err
		}
		if err != nil {
			done()
			return err
		}
		go func() { // ends with the manager's answer, or soon
			ctx, cancel := context.WithTimeout(context.Background(), storePatience)
			defer cancel()
			if err := barrier.Wait(ctx); err != nil {
				s.log.Error("the service manager does not say whether it keeps a worker; it serves all the same", "err", err)
			}
			done()
		}()
		return nil
	}, true)
}
