package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
)

// storePatience is how long the service manager may take to say that it has what it
// was given. One that hangs must not keep a worker from its connections.
const storePatience = 5 * time.Second

// store is the service manager's, for the master. Its messages go in order with the
// teller's others.
type store struct {
	teller *teller
	log    *slog.Logger
}

var _ master.Store = store{}

// newStore gives the service manager's store, or nil where there is none.
func newStore(n *notify.Notifier, t *teller, cfg *master.Config) master.Store {
	size := n.StoreMax()
	if size == 0 {
		return nil
	}
	if need := cfg.StoreSize(); size < need {
		cfg.Logger.Error("the service manager's store is too small: workers that do not fit end with the master when it is killed; "+
			"raise FileDescriptorStoreMax= of the service, or let rondo install --refresh write it", "have", size, "need", need)
	}
	return store{t, cfg.Logger}
}

func (s store) Keep(name string, fd int) {
	dup, err := sys.Dup(fd) // it may be closed before the message is sent
	if err != nil {
		s.log.Error("cannot be kept: a crash of the master would end its worker", "listener", name, "err", err)
		return
	}
	s.teller.queue(func() error {
		err := s.teller.notifier.Store(name, dup)
		if !isQueueFull(err) {
			sys.Close(dup)
		}
		return err
	}, true)
}

func (s store) Drop(name string) {
	s.teller.queue(func() error { return s.teller.notifier.Remove(name) }, true)
}

func (s store) Sync(done func()) {
	s.teller.queue(func() error {
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
