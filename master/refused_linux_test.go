//go:build !portable

package master

// A state that is refused is one of a service manager's store: an upgrade in place goes
// back to the program whose state it is.

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"golang.org/x/sys/unix"
)

func TestTheThirdAttemptStartsClean(t *testing.T) {
	x := leaves(t, func(s *stage, l *listener) { s.turn(event{kind: evScale, n: 3}) }) // the third is not started
	for n := 1; n <= 2; n++ {
		again := map[string]int{}
		for name, fd := range x.stored {
			dup, err := sys.Dup(fd)
			if err != nil {
				t.Fatal(err)
			}
			again[name] = dup
		}
		l := x.mustRecallWith(5)
		if !l.adopted || l.cfg.Workers == 5 {
			t.Fatalf("attempt %d did not adopt with the last settings:\n%s", n, x.log.String())
		}
		l.t.leaving = true // it ends without the workers, as a crash does
		x.end()
		x.stored = again
	}
	l := x.mustRecallWith(5)
	if l.cfg.Workers != 5 {
		t.Errorf("the third attempt starts %d workers, want the 5 of the settings that there are now", l.cfg.Workers)
	}
	if l.adopted || len(l.t.slots) != 0 || l.t.phase != starting {
		t.Errorf("the third attempt: adopted %v, %d slots, phase %v", l.adopted, len(l.t.slots), l.t.phase)
	}
	x.expectSaid("2 starts with it have failed", 1)
	if kept, dropped := x.store.did(); !slices.Equal(kept, []string{serviceName}) || !slices.Contains(dropped, serviceName) {
		t.Errorf("kept %v, dropped %v, want another state in place of the one", kept, dropped)
	}
	for _, w := range l.t.workers {
		if w.slot.index >= 0 {
			t.Errorf("%s is no stray", w)
		}
	}
	if len(l.t.workers) != 2 || l.t.lastWorker != 2 {
		t.Errorf("strays %v, last id %d, want the two that are there", l.t.workers, l.t.lastWorker)
	}
	if n := l.state.Attempt(); n != 1 {
		t.Errorf("the new state has seen %d attempts before it", n-1)
	}
}

func TestWhatIsInTheWayIsRefusedAndSaid(t *testing.T) {
	for _, row := range []struct {
		name    string
		spoil   func(x *left)
		adopted bool
		strays  int
		unread  int // workers whose records are not
		said    string
		dropped []string
		kept    []string
	}{
		{
			name:  "no state of the service",
			spoil: func(x *left) { x.drop(serviceName) },
			said:  "the store has workers and no state of the service", strays: 2, kept: []string{"state"},
		}, {
			name:  "state that is none",
			spoil: func(x *left) { x.drop(serviceName); x.file(serviceName) },
			said:  "the state of the last master is refused", strays: 2, dropped: []string{"state"}, kept: []string{"state"},
		}, {
			name: "state without a record",
			spoil: func(x *left) {
				x.drop(serviceName)
				svc, err := state.NewService()
				if err != nil {
					x.t.Fatal(err)
				}
				x.give(serviceName, svc.FD())
				svc.Close()
			},
			said: "the state of the last master is refused", strays: 2, dropped: []string{"state"}, kept: []string{"state"},
		}, {
			name: "a record with settings that are none",
			spoil: func(x *left) {
				x.rewrite(func(r *tableRecord) { r.Settings[1] = json.RawMessage(`{"Workers":"many"}`) })
			},
			said: "the state of the last master cannot be used", strays: 2,
		}, {
			name:  "no state of a worker",
			spoil: func(x *left) { x.drop("w1.state") },
			said:  "the state of a worker is refused", adopted: true, unread: 1, dropped: []string{"w1.state"}, kept: []string{"w1.state"},
		}, {
			name:  "state of a worker that is none",
			spoil: func(x *left) { x.drop("w1.state"); x.file("w1.state") },
			said:  "the state of a worker is refused", adopted: true, unread: 1, dropped: []string{"w1.state"}, kept: []string{"w1.state"},
		}, {
			name:  "no channel",
			spoil: func(x *left) { x.drop("w1.chan") },
			said:  "a worker that was kept is not whole, and is ended", adopted: true, dropped: []string{"w1.chan", "w1.pid", "w1.state"},
		}, {
			name:  "no process",
			spoil: func(x *left) { x.drop("w1.pid") },
			said:  "a worker that was kept is not whole, and is ended", adopted: true, dropped: []string{"w1.chan", "w1.pid", "w1.state"},
		}, {
			name:  "a process that is none",
			spoil: func(x *left) { x.drop("w1.pid"); x.file("w1.pid") },
			said:  "a worker that was kept is not whole, and is ended", adopted: true, dropped: []string{"w1.chan", "w1.pid", "w1.state"},
		}, {
			name:    "a worker that the record does not have",
			spoil:   func(x *left) { x.rewrite(func(r *tableRecord) { r.Workers, r.Slots[0].Current = r.Workers[1:], 0 }) },
			adopted: true, dropped: []string{"w1.chan", "w1.pid", "w1.state"},
		}, {
			name:  "a descriptor of no known name",
			spoil: func(x *left) { x.file("other"); x.file("w0.chan"); x.file("w1.other") },
			said:  "a descriptor in the store is none of ours: dropped", adopted: true, dropped: []string{"other", "w0.chan", "w1.other"},
		}, {
			name:    "a listener that the record does not have",
			spoil:   func(x *left) { x.file("l7.listen") },
			adopted: true, dropped: []string{"l7.listen"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := leaves(t, nil)
			row.spoil(x)
			given := x.given()
			l := x.mustRecall()
			if l.adopted != row.adopted {
				t.Errorf("adopted %v, want %v", l.adopted, row.adopted)
			}
			strays, unread := 0, 0
			for _, w := range l.t.workers {
				if w.slot.index < 0 {
					strays++
				} else if w.found != nil && w.found.record == nil {
					unread++
				}
			}
			if strays != row.strays || unread != row.unread {
				t.Errorf("%d strays and %d workers unread, want %d and %d", strays, unread, row.strays, row.unread)
			}
			if row.said != "" && !strings.Contains(x.log.String(), row.said) {
				t.Errorf("want %q in the log:\n%s", row.said, x.log.String())
			}
			if kept, dropped := x.store.did(); !slices.Equal(kept, row.kept) || !slices.Equal(dropped, row.dropped) {
				t.Errorf("kept %v, dropped %v, want %v, %v", kept, dropped, row.kept, row.dropped)
			}
			for id := range l.procs {
				if l.procs[id].worker == nil || l.procs[id].state == nil {
					t.Errorf("worker %d has no state, or no life", id)
				}
			}
			l.t.leaving = true
			x.end()
			if got := stillOpen(t, given); len(got) > 0 {
				t.Errorf("of what was left, %v are open in the end", got)
			}
		})
	}
}

// given names the open files that are left: channels and memory, of which there are no two.
func (x *left) given() map[string]string {
	x.t.Helper()
	files := map[string]string{}
	for name, fd := range x.stored {
		if file, ok := openFile(fd); ok {
			files[file] = name
		}
	}
	if len(files) < 3 {
		x.t.Fatalf("only %v are left", files)
	}
	return files
}

// openFile names what fd is of, if that is a socket or memory.
func openFile(fd int) (string, bool) {
	var st unix.Stat_t
	link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil || unix.Fstat(fd, &st) != nil {
		return "", false
	}
	return fmt.Sprint(st.Dev, " ", st.Ino), strings.HasPrefix(link, "socket:") || strings.HasPrefix(link, "/memfd:")
}

// stillOpen gives those of files that this process has open.
func stillOpen(t *testing.T, files map[string]string) (names []string) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		fd, _ := strconv.Atoi(e.Name())
		if file, ok := openFile(fd); ok && files[file] != "" {
			names = append(names, files[file])
		}
	}
	return names
}
