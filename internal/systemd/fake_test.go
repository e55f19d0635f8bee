package systemd

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	godbus "github.com/godbus/dbus/v5"
)

// A fake is a user's manager at its private socket, as far as package systemd asks
// one.
type fake struct {
	t *testing.T

	mu      sync.Mutex        // guards what follows, and sending
	answers map[string]answer // by method
	calls   []string
	conns   []net.Conn
	mute    string // a word or method that it does not answer
	muted   func() // called instead

	all sync.WaitGroup // its goroutines, ended by the close of what they read
}

// answer is what a method returns: values, or an error of this name.
type answer struct {
	body  []any
	err   string
	ended string // how the job ended, which everybody is told after the answer
	then  func() // called after all that
}

const job = godbus.ObjectPath("/org/freedesktop/systemd1/job/7")

// newFake starts a manager for this process's user.
func newFake(t *testing.T) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "rondo") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if err := os.Mkdir(filepath.Join(dir, "systemd"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "systemd", "private"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, answers: make(map[string]answer)}
	f.all.Go(func() { f.accept(l) })
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for _, conn := range f.conns {
			conn.Close()
		}
		f.mu.Unlock()
		f.all.Wait()
	})
	return f
}

func (f *fake) on(method string, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[method] = a
}

// silent has the fake call f instead of an answer to a word or a method.
func (f *fake) silent(what string, instead func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute, f.muted = what, instead
}

// ignores says whether what is not answered.
func (f *fake) ignores(what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute == "" || what != f.mute {
		return false
	}
	f.muted()
	return true
}

// connect is Connect to the fake.
func (f *fake) connect() *Manager {
	f.t.Helper()
	m, err := Connect(f.t.Context(), User)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(m.Close)
	return m
}

func (f *fake) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns = append(f.conns, conn)
		f.mu.Unlock()
		f.all.Go(func() { f.serve(conn) })
	}
}

// serve answers one connection: first the words of authentication, then calls.
func (f *fake) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	if _, err := in.ReadByte(); err != nil { // the NUL that carries credentials
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		if f.ignores(words[0]) {
			continue
		}
		reply := map[string]string{"AUTH": "REJECTED EXTERNAL", "NEGOTIATE_UNIX_FD": "ERROR"}[words[0]]
		if len(words) > 1 || words[0] == "DATA" {
			reply = "OK 0123456789abcdef0123456789abcdef"
		}
		if words[0] == "BEGIN" {
			break
		}
		if _, err := io.WriteString(conn, reply+"\r\n"); err != nil {
			return
		}
	}
	for {
		call, err := godbus.DecodeMessage(in)
		if err != nil {
			return
		}
		f.answer(conn, call)
	}
}

func (f *fake) answer(conn net.Conn, call *godbus.Message) {
	method, _ := call.Headers[godbus.FieldMember].Value().(string)
	if f.ignores(method) {
		return
	}
	said := method
	for _, arg := range call.Body {
		if text, ok := arg.(string); ok {
			said += " " + text
		}
		if list, ok := arg.([]string); ok {
			said += " " + strings.Join(list, " ")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, said)
	a := f.answers[method]
	reply := &godbus.Message{Type: godbus.TypeMethodReply, Body: a.body, Headers: map[godbus.HeaderField]godbus.Variant{
		godbus.FieldReplySerial: godbus.MakeVariant(call.Serial()),
	}}
	if a.err != "" {
		reply.Type, reply.Body = godbus.TypeError, []any{"the manager's words"}
		reply.Headers[godbus.FieldErrorName] = godbus.MakeVariant(a.err)
	}
	f.send(conn, reply)
	if a.ended != "" {
		f.ends(a.ended)
	}
	if a.then != nil {
		a.then()
	}
}

func (f *fake) send(conn net.Conn, m *godbus.Message) {
	if len(m.Body) > 0 {
		m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(m.Body...))
	}
	if err := m.EncodeTo(conn, binary.LittleEndian); err != nil {
		f.t.Errorf("the fake cannot send: %v", err)
	}
}

// ends tells every connection that the job ended so.
func (f *fake) ends(result string) {
	for _, conn := range f.conns {
		f.send(conn, &godbus.Message{Type: godbus.TypeSignal, Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldPath:      godbus.MakeVariant(godbus.ObjectPath("/org/freedesktop/systemd1")),
			godbus.FieldInterface: godbus.MakeVariant("org.freedesktop.systemd1.Manager"),
			godbus.FieldMember:    godbus.MakeVariant("JobRemoved"),
		}, Body: []any{uint32(7), job, "app.socket", result}})
	}
}

// called gives the calls so far that are not the connection's own.
func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, call := range f.calls {
		if !strings.HasPrefix(call, "AddMatch") {
			list = append(list, call)
		}
	}
	return list
}
