package master

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rondokit/rondo/internal/sys"
	"golang.org/x/sys/unix"
)

// output gives each worker its standard output and error: a journal stream of its
// own, or pipes whose lines are written on with the slot before them.
type output struct {
	out, err *sink
	journal  string // path of journald's stream socket; empty means pipes
	name     string
	hurry    chan struct{} // closed when what nobody takes is to be given up

	begun map[string][]byte // lines that the last master had read in part

	sync.Mutex                     // guards the fields below
	readers    map[*os.File]string // and what it is kept as for the next master
	closed     bool
	handing    bool
	unended    map[string][]byte // lines that have been read in part, for the next master
}

// sink writes lines to one place, on a goroutine of its own. A place that takes
// nothing (a stopped terminal, a full pipe) holds up the workers that write to it, as
// it would without us, and neither the loop nor the end of Run.
type sink struct {
	w     io.Writer
	lines chan []byte
	ended chan struct{}
}

const (
	sinkLines = 64          // wait for the place to take them
	lastWords = time.Second // how long the end of Run waits for that
)

func newSink(w io.Writer) *sink {
	s := &sink{w: w, lines: make(chan []byte, sinkLines), ended: make(chan struct{})}
	go func() { // ends with close; or with the process, when the place takes nothing
		defer close(s.ended)
		for line := range s.lines {
			s.w.Write(line) // where it goes is the operator's; a worker does not stop for it
		}
	}()
	return s
}

// close writes what waits, until hurry.
func (s *sink) close(hurry <-chan struct{}) {
	close(s.lines)
	select {
	case <-s.ended:
	case <-hurry:
	}
}

const (
	tailLines  = 20
	longLine   = 16 << 10               // a longer one is written in parts
	tailWindow = 100 * time.Millisecond // how long the last lines of a dead worker are waited for, within hangUpGrace
)

// outputs are the descriptors of one worker to be.
type outputs struct {
	o              *output
	stdout, stderr int
	journal        string     // JOURNAL_STREAM
	files          []*os.File // the worker's ends
	readers        []*os.File
	follows        []func(*sync.WaitGroup)
	tail           *tail
}

func (o *output) open(t *tail, id, slot int) (*outputs, error) {
	if o.journal != "" {
		return o.stream(t, slot)
	}
	s := &outputs{o: o, tail: t}
	for _, side := range []struct {
		fd   *int
		to   *sink
		name string
	}{{&s.stdout, o.out, outName}, {&s.stderr, o.err, errName}} {
		r, w, err := os.Pipe()
		if err != nil {
			s.close()
			for _, r := range s.readers {
				r.Close()
			}
			return nil, fmt.Errorf("output: %w", err)
		}
		// Fd makes the write end blocking, which is what programs expect of stdout.
		*side.fd = int(w.Fd())
		s.files, s.readers = append(s.files, w), append(s.readers, r)
		s.follows = append(s.follows, func(helpers *sync.WaitGroup) { o.copy(helpers, r, fmt.Sprintf(side.name, id), side.to, slot, t) })
	}
	t.open(2)
	return s, nil
}

// stream opens a journal stream, as systemd opens one for a unit. The header is
// described at sd_journal_stream_fd(3): identifier, unit, priority, level prefix and
// three forwarding flags, a line each.
func (o *output) stream(t *tail, slot int) (*outputs, error) {
	c, err := net.Dial("unix", o.journal)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s/%d\n\n6\n1\n0\n0\n0\n", o.name, slot); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	f, err := c.(*net.UnixConn).File()
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	fd := int(f.Fd()) // blocking, as a program's output must be; we do not use the socket again
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &outputs{o: o, tail: t, stdout: fd, stderr: fd, files: []*os.File{f},
		journal: fmt.Sprintf("%d:%d", st.Dev, st.Ino)}, nil
}

// follow starts copying what the worker writes; it ends with the last process that
// has the other end open, or with output.close.
func (s *outputs) follow(helpers *sync.WaitGroup) {
	for _, f := range s.follows {
		f(helpers)
	}
}

// close closes the worker's ends in this process.
func (s *outputs) close() {
	for _, f := range s.files {
		f.Close()
	}
}

// copy has a goroutine write each line of r to a sink, with the slot before it. r is
// known when it returns: a handover that follows must find it.
func (o *output) copy(helpers *sync.WaitGroup, r *os.File, name string, to *sink, slot int, t *tail) {
	open := o.enter(r, name)
	helpers.Go(func() { // ends with the last process that has the other end open, or with close
		defer t.close()
		defer r.Close()
		defer o.leave(r)
		if open {
			o.lines(r, name, to, slot, t)
		}
	})
}

// lines writes each line of r to a sink, with the slot before it.
func (o *output) lines(r *os.File, name string, to *sink, slot int, t *tail) {
	prefix := fmt.Appendf(nil, "[%d] ", slot)
	in := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(o.begun[name]), r), longLine)
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) && o.keepBegun(name, part) {
			return
		}
		if len(part) > 0 {
			part = bytes.TrimSuffix(part, []byte("\n"))
			t.add(part)
			line := make([]byte, 0, len(prefix)+len(part)+1)
			line = append(append(append(line, prefix...), part...), '\n')
			select {
			case to.lines <- line:
			case <-o.hurry:
				return
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// adopt goes on with the pipes of a worker of the last master.
func (o *output) adopt(helpers *sync.WaitGroup, id, slot int, sw *storedWorker, t *tail) {
	if sw.out < 0 || sw.err < 0 { // none, or what is left of both
		for _, fd := range []int{sw.out, sw.err} {
			if fd >= 0 {
				sys.Close(fd)
			}
		}
		return
	}
	t.open(2)
	for _, side := range []struct {
		fd   int
		to   *sink
		name string
	}{{sw.out, o.out, outName}, {sw.err, o.err, errName}} {
		unix.SetNonblock(side.fd, true)
		r := os.NewFile(uintptr(side.fd), "output")
		o.copy(helpers, r, fmt.Sprintf(side.name, id), side.to, slot, t)
	}
}

// each calls f with each pipe that is read, and its name.
func (o *output) each(f func(name string, r *os.File)) {
	o.Lock()
	defer o.Unlock()
	for r, name := range o.readers {
		f(name, r)
	}
}

// handOver ends the copy of each pipe, which leaves what it has of a line in unended.
func (o *output) handOver() {
	o.Lock()
	defer o.Unlock()
	o.handing = true
	for r := range o.readers {
		r.SetReadDeadline(time.Now())
	}
}

// maxUnended bounds what of lines is handed over.
const maxUnended = 32 << 10

// keepBegun keeps the part of a line that has been read, if the pipe is handed over and
// there is room.
func (o *output) keepBegun(name string, part []byte) bool {
	o.Lock()
	defer o.Unlock()
	room := maxUnended
	for _, other := range o.unended {
		room -= len(other)
	}
	if !o.handing || len(part) > room {
		return false
	}
	if o.unended == nil {
		o.unended = map[string][]byte{}
	}
	o.unended[name] = bytes.Clone(part)
	return true
}

func (o *output) enter(r *os.File, name string) bool {
	o.Lock()
	defer o.Unlock()
	if o.readers == nil {
		o.readers = map[*os.File]string{}
	}
	o.readers[r] = name
	return !o.closed
}

func (o *output) leave(r *os.File) {
	o.Lock()
	defer o.Unlock()
	delete(o.readers, r)
}

// end ends every copy, also of pipes that a program left behind still holds.
func (o *output) end() {
	o.Lock()
	defer o.Unlock()
	o.closed = true
	for r := range o.readers {
		r.Close()
	}
}

// close writes what waits, once no copy is left.
func (o *output) close() {
	o.out.close(o.hurry)
	o.err.close(o.hurry)
}

// tail keeps the last lines of one worker.
type tail struct {
	sync.Mutex // guards all fields
	lines      []string
	sides      int           // not yet ended
	ended      chan struct{} // closed when both sides have ended
}

func (t *tail) open(n int) {
	t.Lock()
	defer t.Unlock()
	t.sides, t.ended = n, make(chan struct{})
}

func (t *tail) add(line []byte) {
	t.Lock()
	defer t.Unlock()
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, string(line))
}

func (t *tail) close() {
	t.Lock()
	defer t.Unlock()
	if t.sides--; t.sides == 0 {
		close(t.ended)
	}
}

// wait gives the last lines once all have been read, or soon after.
func (t *tail) wait() string {
	t.Lock()
	ended := t.ended
	t.Unlock()
	if ended != nil {
		timer := time.NewTimer(tailWindow)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C: // something the worker started holds its output open
		}
	}
	t.Lock()
	defer t.Unlock()
	return strings.Join(t.lines, "\n")
}
