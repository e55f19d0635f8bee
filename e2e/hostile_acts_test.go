package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// behaviour is one way to be a bad worker. Its functions run in the worker.
type behaviour struct {
	batch int
	act   func(*rogue) // once it listens and the load runs; nil is nothing
	given given        // in place of refusing a connection

	// In the test:
	log     string // what the master says of it; empty if that is no fault
	all     bool   // a worker that replaces it behaves so, too
	apart   bool   // in a test of its own
	unready bool   // a worker that replaces it behaves so before it listens
	orphan  bool   // it leaves a process behind that is nobody's
	fds     int    // descriptors that it may make the master hold
	adjust  func(*settings.Settings)
	with    func(*stage) // with the load, until it is done
	after   func(*stage) // when it is done, under load; it may go on after a cue
}

const cluster = `{"cmd":"NODE_CLUSTER",`

// repeat says the line n times, in large pieces.
func (r *rogue) repeat(n int, line string) {
	const piece = 1000
	for ; n > 0; n -= piece {
		r.say(bytes.Repeat([]byte(line), min(n, piece)))
	}
}

func shortAck(s *settings.Settings) { s.Window, s.AckTimeout = 2, 100*time.Millisecond }
func shortDrain(s *settings.Settings) {
	s.DrainTimeout, s.KillTimeout = 200*time.Millisecond, 200*time.Millisecond
}
func binding(s *settings.Settings) { s.Bind = true }

var behaviours = map[string]behaviour{
	"garbage": {log: "not JSON", act: func(r *rogue) {
		for i := range 20_000 {
			r.say(fmt.Appendf(nil, "\x00\xff{[%d\n", i))
		}
		r.repeat(100_000, "x\n")
	}},
	"empty lines": {log: "not JSON", act: func(r *rogue) { r.repeat(200_000, "\n") }},
	"shouts": {act: func(r *rogue) {
		for range 1_000 {
			os.Stdout.WriteString(strings.Repeat("x", 32<<10))
		}
		os.Stderr.WriteString(strings.Repeat("\n", 200_000))
	}},
	"half a line": {act: func(r *rogue) {
		r.leave()
		r.say([]byte(cluster + `"act":"onl`))
	}},
	"endless line": {log: "max-message", act: func(r *rogue) {
		r.leave()
		r.repeat(64<<10, strings.Repeat("x", 1<<10))
	}},
	"endless envelope": {log: "max-message", act: func(r *rogue) {
		r.leave()
		before := r.now().nacks
		r.say([]byte(`{"cmd":"NODE_HANDLE","type":"net.Native","msg":"`))
		r.repeat(8<<10, strings.Repeat("x", 1<<10))
		r.say([]byte("\n"))
		r.await(func(h heard) bool { return h.nacks > before })
	}},
	"nested": {log: "not JSON", act: func(r *rogue) {
		for _, deep := range []int{9_000, 200_000} {
			value := strings.Repeat("[", deep) + strings.Repeat("]", deep)
			r.repeat(20, value+"\n")
			r.repeat(20, cluster+`"act":"queryServer","fd":3,"index":7,"data":`+value+"}\n")
			r.repeat(20, cluster+`"ack":1,"refused":`+value+"}\n")
			r.repeat(20, `{"cmd":"NODE_HANDLE","msg":`+value+"}\n")
		}
	}},
	"user messages": {act: func(r *rogue) {
		r.repeat(50_000, `"ready"`+"\n")
		r.repeat(50_000, "null\n")
		r.repeat(100, `{"cmd":"app","NODE_":"`+strings.Repeat("x", 100_000)+`"}`+"\n")
	}},
	"online again": {batch: 64, act: func(r *rogue) {
		for i := range 10_000 {
			batch := []string{"0", "-1", "1000000000", "1e99", `"7"`, "null", "3"}[i%7]
			r.say(fmt.Appendf(nil, cluster+`"act":"online","rondo":{"batch":%s},"seq":%d}`+"\n", batch, i))
		}
	}},
	"queries": {log: "cannot listen", act: func(r *rogue) {
		for port := range 2_000 {
			r.tells(func(seq int64) []byte {
				return wire.AppendQuery(nil, seq, &wire.Query{Port: port + 1, Type: wire.IPv4, FD: -1})
			})
			r.tells(func(seq int64) []byte {
				return wire.AppendQuery(nil, seq, &wire.Query{Port: -1, Address: fmt.Sprintf("/nowhere/%d", port), Type: wire.Pipe, FD: -1})
			})
		}
		r.await(func(h heard) bool { return h.refused >= 4_000 })
	}},
	"queries for the same": {log: "cannot listen", act: func(r *rogue) {
		for i := range 8_000 {
			r.tells(func(seq int64) []byte { return wire.AppendQuery(nil, seq, query(i)) })
		}
		r.await(func(h heard) bool { return h.refused >= 8_000 })
	}},
	"queries for names": {log: "cannot listen", adjust: binding, act: func(r *rogue) {
		for i := range 50 { // resolved by the master, each would hold up everyone
			r.tells(func(seq int64) []byte {
				return wire.AppendQuery(nil, seq, &wire.Query{Port: 1, Address: fmt.Sprintf("host%d.invalid", i), Type: wire.IPv4, FD: -1})
			})
		}
		r.await(func(h heard) bool { return h.refused >= 50 })
	}},
	"queries for taken ports": {log: "cannot listen", adjust: binding, act: func(r *rogue) {
		taken := taken()
		for i := range 2_000 {
			r.tells(func(seq int64) []byte {
				return wire.AppendQuery(nil, seq, &wire.Query{Port: taken, Address: "127.0.0.1", Type: wire.IPv4, FD: -1, Index: i})
			})
		}
		r.await(func(h heard) bool { return h.refused >= 2_000 })
	}},
	"bound ports": {log: "cannot listen", fds: 1024, act: func(r *rogue) {
		had := r.now()
		r.bindMany(3_000, nil)
		r.await(func(h heard) bool { return h.granted+h.refused == had.granted+had.refused+3_000 })
	}},
	"bound ports with data": {fds: 48, act: func(r *rogue) {
		had := r.now()
		r.bindMany(48, json.RawMessage(`"`+strings.Repeat("x", 400_000)+`"`))
		r.await(func(h heard) bool { return h.granted+h.refused == had.granted+had.refused+48 })
	}},
	"bound and gone":            {all: true, fds: 64, act: (*rogue).bindAndGo, adjust: binding, log: "worker died", after: ten},
	"bound and gone, not ready": {unready: true, fds: 64, act: (*rogue).bindAndGo, adjust: binding, log: "worker died", after: ten},
	"listen and close": {act: func(r *rogue) {
		for i := range 1_000 {
			r.tells(func(seq int64) []byte { return wire.AppendClose(nil, seq, r.now().key) })
			r.listen(i + 1)
		}
	}},
	"odd queries": {log: "cannot listen", act: func(r *rogue) {
		long := strings.Repeat("y", 500_000)
		had := r.now()
		for i, q := range []*wire.Query{
			{FD: 3, Type: wire.AddressType(long)}, {FD: 3, Type: "\"\n\x00"}, {FD: 3, Address: long}, {FD: 3, Address: "a\"b\nc\x00"},
			{FD: 3, Name: long}, {FD: 3, Port: 1 << 62}, {FD: 3, Index: -1 << 62}, {FD: 3, Address: strings.Repeat("\x01", 9_000)},
			{FD: -1, Type: wire.Pipe, Port: -1, Address: long + "\x00web"}, {FD: -1, Type: wire.Pipe, Port: -1, Address: "\x00"},
			{FD: -1, Type: wire.IPv6, Address: "::1%" + long, Port: 1}, {FD: 1 << 40}, {FD: -1, Type: "udp4"}, {FD: -1},
			{FD: 3, Data: json.RawMessage(`"` + long + `"`)}, {FD: -1, Port: -7, Flags: -1, Backlog: 1 << 60, Type: wire.IPv6},
		} {
			q.Index += i + 1
			r.tells(func(seq int64) []byte { return wire.AppendClose(nil, seq, r.now().key) })
			r.tells(func(seq int64) []byte { return wire.AppendQuery(nil, seq, q) })
			r.tells(func(seq int64) []byte { return wire.AppendListening(nil, seq, q) })
			r.await(func(h heard) bool { return h.granted+h.refused == had.granted+had.refused+i+1 })
		}
		for _, key := range []string{"", "\"\n", "\x00", long, "\xff\xfe"} {
			r.tells(func(seq int64) []byte { return wire.AppendClose(nil, seq, key) })
		}
	}},
	"leaves a thousand times": {adjust: shortDrain, act: func(r *rogue) {
		for range 20_000 {
			r.tells(func(seq int64) []byte { return wire.AppendExited(nil, seq) })
		}
	}},
	"descriptors": {log: "descriptors that belong to no message", act: func(r *rogue) {
		odd := oddDescriptors()
		for i := range 5_000 {
			r.say([]byte("1\n"), odd[i%len(odd)])
		}
	}},
	"descriptors by the hundred": {fds: sys.MaxRights, act: func(r *rogue) {
		null, _ := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		many := make([]int, sys.MaxRights)
		for i := range many {
			many[i] = null
		}
		r.leave()
		for range 1_000 {
			r.say([]byte("1"), many...)
		}
		r.say([]byte("\n"))
	}},
	"descriptors in envelopes": {act: func(r *rogue) {
		odd := oddDescriptors()
		for i := range 3_000 {
			r.say([]byte(`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"take it"}`+"\n"), odd[i%len(odd)])
		}
		for range 1_000 {
			r.say([]byte(`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":` + cluster + `"act":"newconn","key":"x","seq":1}}` + "\n"))
		}
		r.await(func(h heard) bool { return h.acks == 3_000 && h.nacks == 1_000 })
	}},
	"lingering descriptors": {act: func(r *rogue) {
		for range 5 {
			mine, far := connected()
			linger(mine)
			r.say([]byte(`{"cmd":"NODE_HANDLE","msg":1}`+"\n"), mine)
			sys.Close(mine)
			defer sys.Close(far)
		}
		r.await(func(h heard) bool { return h.acks == 5 })
	}},
	"lingering connections": {with: deafClients, act: func(r *rogue) {
		r.await(func(h heard) bool { return h.lingering >= 3 })
	}, given: func(r *rogue, m *wire.Message, fds []int) {
		for _, fd := range fds {
			if !isDeafClient(fd) {
				r.refuse(m, fds)
				return
			}
			linger(fd)
			fill(fd)
			sys.Close(fd) // the master's copy is the last one now
			r.answer(m, true)
			r.hear(func(h *heard) { h.lingering++ })
		}
	}},
	"ack without send": {log: "acknowledged a descriptor that was not sent", batch: 1, act: func(r *rogue) {
		r.repeat(50_000, wire.HandleAckLine)
		r.repeat(50_000, wire.HandleNackLine)
	}},
	"answers to nothing": {log: "answered a message that was not sent", act: func(r *rogue) {
		for i := range 50_000 {
			ack := []string{"-1", "123456789", "9223372036854775807", "99999999999999999999", `"x"`, "1e300", "0.5", "[]", "999999999999999"}[i%9]
			r.say([]byte(cluster + `"ack":` + ack + `,"accepted":true,"seq":1}` + "\n"))
		}
	}},
	"answers again": {log: "answered a message that was not sent", given: func(r *rogue, m *wire.Message, fds []int) {
		r.refuse(m, fds)
		for _, accepted := range []bool{true, false, true} {
			r.tells(func(seq int64) []byte { return wire.AppendAnswer(nil, seq, m.Seq, accepted, []int{-1, 0, 1 << 40}) })
		}
	}},
	"refuses what it was not given": {batch: 64, given: func(r *rogue, m *wire.Message, fds []int) {
		r.tells(func(seq int64) []byte {
			return wire.AppendAnswer(nil, seq, m.Seq, true, []int{0, -1, 0, len(fds), 1 << 40})
		})
		sys.Close(fds[0])
		r.serve(fds[1:])
	}},
	"accepts, then refuses": {log: "answered a message that was not sent", batch: 8, given: func(r *rogue, m *wire.Message, fds []int) {
		r.answer(m, true)
		r.answer(m, false)
		r.serve(fds)
	}},
	"NACK for all": {given: func(r *rogue, m *wire.Message, fds []int) {
		for _, fd := range fds {
			sys.Close(fd)
		}
		r.say([]byte(wire.HandleNackLine))
	}},
	"never answers":             {log: "does not answer", adjust: shortAck, given: (*rogue).hold, after: goOn},
	"never answers, in batches": {log: "does not answer", batch: 64, adjust: shortAck, given: (*rogue).hold, after: goOn},
	"never answers one": {log: "does not answer", batch: 1, adjust: shortAck, after: goOn, given: func(r *rogue, m *wire.Message, fds []int) {
		if r.now().conns == 1 {
			r.hold(m, fds)
			return
		}
		r.refuse(m, fds)
	}},
	"never reads": {log: "does not read the answers", act: (*rogue).floodUnread, after: func(st *stage) { st.cue("on") }, given: func(r *rogue, m *wire.Message, fds []int) {
		if r.now().conns == len(fds) { // the first, on the goroutine that reads
			r.cue()
		}
		answer := *m
		go r.refuse(&answer, fds) // ends when the master reads again
	}},
	"closes the channel": {log: "closed its channel and lives on", adjust: shortDrain, act: func(r *rogue) {
		unix.Shutdown(channelFD, unix.SHUT_RDWR)
	}},
	"stops hearing": {log: "lives on", adjust: shortDrain, act: func(r *rogue) {
		unix.Shutdown(channelFD, unix.SHUT_RD)
	}, after: func(st *stage) { st.await("gone", 1) }},
	"stops talking": {log: "closed its channel and lives on", adjust: shortDrain, act: func(r *rogue) {
		unix.Shutdown(channelFD, unix.SHUT_WR)
	}},
	"forks and leaves": {orphan: true, log: "worker died", act: func(r *rogue) {
		r.fork()
		r.tell("did")
		os.Exit(0)
	}},
	"dies of a connection": {log: "worker died", all: true, given: func(r *rogue, m *wire.Message, fds []int) { os.Exit(7) },
		after: func(st *stage) { st.await("gone", 5) }},
	"dies of a batch": {log: "worker died", all: true, batch: 64, given: func(r *rogue, m *wire.Message, fds []int) { os.Exit(7) },
		after: func(st *stage) { st.await("gone", 5) }},
	"last words": lastWords,
	"descriptors under way": {apart: true, act: func(r *rogue) {
		a, b, _ := sys.Socketpair()
		null, _ := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		many := make([]int, sys.MaxRights)
		for i := range many {
			many[i] = null
		}
		sys.Send(a, []byte("1"), many)
		r.tell("did")
		r.cue()
		for _, fd := range []int{a, b} {
			sys.Close(fd)
		}
	}},
	"ignores every goodbye": {adjust: shortDrain, act: func(r *rogue) {
		r.deaf.Store(true)
		signal.Ignore(syscall.SIGTERM)
		r.fork()
	}},
}

// goOn waits until no more than the window is held up, and then has the rogue refuse
// what it was given.
func goOn(st *stage) {
	st.holds()
	st.cue("on")
}

// floodUnread asks and does not hear the answers, until the master hears it no more.
func (r *rogue) floodUnread() {
	r.await(func(h heard) bool { return h.conns > 0 })
	r.out.Lock()
	defer r.out.Unlock()
	line := []byte(cluster + `"act":"queryServer","fd":99,"data":"` + strings.Repeat("x", 1000) + `","seq":1}` + "\n")
	rest := line
	for last := time.Now(); time.Since(last) < 300*time.Millisecond; {
		n, err := sys.Send(channelFD, rest, nil)
		if err != nil {
			continue
		}
		last = time.Now()
		if rest = rest[n:]; len(rest) == 0 {
			rest = line
		}
	}
	r.tell("did")
	r.write(rest, nil)
}

// hold leaves connections unanswered until the stage says so.
func (r *rogue) hold(m *wire.Message, fds []int) {
	answer := *m
	go func() { // ends with the cue
		r.cued.Do(func() { r.cue() })
		r.refuse(&answer, fds)
	}()
}

// bindAndGo opens sockets of its own, and dies.
func (r *rogue) bindAndGo() {
	had := r.now()
	dir := os.Getenv("TEST_DIR")
	for i := range 50 {
		r.tells(func(seq int64) []byte {
			path := fmt.Sprintf("%s/%d-%d", dir, os.Getpid(), i)
			return wire.AppendQuery(nil, seq, &wire.Query{Port: -1, Address: path, Type: wire.Pipe, FD: -1})
		})
	}
	r.await(func(h heard) bool { return h.granted == had.granted+50 })
	r.tell("did")
	os.Exit(1)
}

// ten waits until so many have gone.
func ten(st *stage) { st.await("gone", 10) }

// bindMany asks n times for a free port, another one each time.
func (r *rogue) bindMany(n int, data json.RawMessage) {
	for i := range n {
		r.tells(func(seq int64) []byte {
			return wire.AppendQuery(nil, seq, &wire.Query{Address: "127.0.0.1", Type: wire.IPv4, FD: -1, Index: i, Data: data})
		})
	}
}

// fork starts a process that holds the channel and talks on it.
func (r *rogue) fork() {
	f, err := r.stage.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		r.tell("bad: %v", err)
	}
	exe, _ := os.Executable()
	c := exec.Command(exe)
	c.Env = []string{roleVar + "=orphan", "GORACE=atexit_sleep_ms=0"}
	c.Stdin, c.ExtraFiles = f, []*os.File{os.NewFile(channelFD, "channel")}
	if err := c.Start(); err != nil {
		r.tell("bad: %v", err)
	}
}

// oddDescriptors are of kinds that no worker has a reason to send.
func oddDescriptors() []int {
	null, _ := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	dir, _ := unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	datagram, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	var p [2]int
	unix.Pipe(p[:])
	a, b, _ := sys.Socketpair()
	sys.Send(a, []byte("in itself"), []int{a, b})
	return []int{null, dir, datagram, p[0], p[1], a, b}
}

// taken gives a port on which another socket of this process listens.
func taken() int {
	fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	unix.Listen(fd, 1)
	sa, _ := unix.Getsockname(fd)
	return sa.(*unix.SockaddrInet4).Port
}

// connected gives the two ends of a TCP connection, the first full of data that the
// other does not read.
func connected() (int, int) {
	fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	unix.Listen(fd, 1)
	sa, _ := unix.Getsockname(fd)
	far, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	unix.Connect(far, sa)
	near, _ := sys.Accept(fd)
	sys.Close(fd)
	fill(near)
	return near, far
}

// fill writes until the other end takes no more.
func fill(fd int) {
	for {
		if _, err := sys.Send(fd, make([]byte, 64<<10), nil); err != nil {
			return
		}
	}
}

// deafWord is all that a client says which never reads.
const deafWord = "DEAF"

// deafClients come and never read, until the rogue has had enough of them.
func deafClients(st *stage) {
	var clients []net.Conn
	st.until("enough clients that do not read", func() bool {
		c, err := net.Dial("tcp", st.service.address)
		if err != nil {
			st.t.Error(err)
			return true
		}
		io.WriteString(c, deafWord)
		clients = append(clients, c)
		return st.said["did"] > 0
	})
	for _, c := range clients {
		c.Close()
	}
}

// isDeafClient reads the first word of a client if it is one that never reads.
func isDeafClient(fd int) bool {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(ready, -1); err != nil {
		return false
	}
	b := make([]byte, len(deafWord))
	if n, _, err := unix.Recvfrom(fd, b, unix.MSG_PEEK); err != nil || string(b[:n]) != deafWord {
		return false
	}
	n, err := unix.Read(fd, b) // or the close would reset the connection
	return err == nil && n == len(b)
}

// linger makes the last close of fd wait for a minute.
func linger(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 60})
}
