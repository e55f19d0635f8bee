package e2e

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
)

// program runs a program that listens on 3000 behind a passed socket.
func program(t *testing.T, script string, change func(*master.Config)) (*service, net.Addr) {
	t.Helper()
	exe, modules := node(t, 20), npm(t)
	before := takeCensus()
	sock := passSocket(t, "tcp", "127.0.0.1:0", "web")
	cfg := master.Config{Settings: quick([]string{exe, "testdata/" + script}, 2), Sockets: []activation.Socket{sock}}
	cfg.Listen = []settings.Listen{{Kind: settings.KindFD, FD: "web", Want: &settings.Want{Port: 3000}}}
	cfg.Env = append([]string{"NODE_PATH=" + modules}, os.Environ()...)
	if change != nil {
		change(&cfg)
	}
	s := launch(t, cfg, before)
	s.await(func(e master.Event) bool { return e.Ready })
	return s, sock.Addr
}

func TestExpressRunsUnmodified(t *testing.T) {
	s, address := program(t, "express.js", nil)
	inTurn(t, s, address, 2, 3)
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	inTurn(t, s, address, 2, 3)
}

// webSocket is a connection after its upgrade (RFC 6455), good for short text messages.
type webSocket struct {
	net.Conn
	in *bufio.Reader
}

func dialWebSocket(t *testing.T, a net.Addr) *webSocket {
	t.Helper()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	ws, err := upgrade(c, "/")
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// upgrade asks for a WebSocket on c, which stays the caller's.
func upgrade(c net.Conn, path string) (*webSocket, error) {
	var key [16]byte
	rand.Read(key[:])
	ws := &webSocket{c, bufio.NewReader(c)}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: %s\r\n\r\n", path, base64.StdEncoding.EncodeToString(key[:])); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(ws.in, nil)
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("upgrade: %s", r.Status)
	}
	return ws, nil
}

// write sends a text of less than 126 bytes.
func (ws *webSocket) write(text string) error {
	_, err := ws.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)) // masked with zero
	return err
}

// echo sends text and gives the first word of the answer: who answered.
func (ws *webSocket) echo(text string) (who string, err error) {
	if err := ws.write(text); err != nil {
		return "", err
	}
	op, answer, err := ws.read()
	if err != nil {
		return "", err
	}
	who, back, _ := strings.Cut(answer, " ")
	if op != 1 || back != text {
		return "", fmt.Errorf("frame %d %q, want text %q", op, answer, text)
	}
	return who, nil
}

func (ws *webSocket) read() (op byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(ws.in, head[:]); err != nil {
		return 0, "", err
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		var long [2]byte
		if _, err := io.ReadFull(ws.in, long[:]); err != nil {
			return 0, "", err
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	b := make([]byte, n)
	_, err = io.ReadFull(ws.in, b)
	return head[0] & 0x0f, string(b), err
}

func TestWebSocketLivesThroughAReloadUntilItEnds(t *testing.T) {
	s, address := program(t, "ws.js", nil)
	ws := dialWebSocket(t, address)
	who, err := ws.echo("before")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // max-draining is 2: the third reload must not wait for ever
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := ws.echo("after")
		if err != nil || after != who {
			t.Fatalf("answered by %q, %v; want %s as before", after, err, who)
		}
	}
	s.until("down to the two new workers and the one that drains",
		func(st master.Status) bool { return len(st.Workers) == 3 })
	ws.Close()
	s.until("rid of the drained worker", func(st master.Status) bool { return len(st.Workers) == 2 })
	if cut := s.status().Reload.Cut; cut != 0 {
		t.Errorf("cut = %d, want 0", cut)
	}
}

func TestWebSocketIsCutAtDrainTimeoutAndCounted(t *testing.T) {
	s, address := program(t, "ws.js", func(cfg *master.Config) { cfg.DrainTimeout = 300 * time.Millisecond })
	ws := dialWebSocket(t, address)
	if _, err := ws.echo("before"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.read(); err == nil {
		t.Error("the connection still gives frames, want its end")
	}
	s.until("rid of the cut worker", func(st master.Status) bool { return len(st.Workers) == 2 })
	if cut := s.status().Reload.Cut; cut != 1 {
		t.Errorf("cut = %d, want 1", cut)
	}
}

// TestShutdownMessageComesBeforeTheEnd is for programs that were written for pm2
// (shutdown_with_message).
func TestShutdownMessageComesBeforeTheEnd(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	s, _ := program(t, "shutdown.js", func(cfg *master.Config) {
		cfg.ShutdownMsg = true
		cfg.Env = append(cfg.Env, "TEST_SAID="+said)
	})
	var want []string
	for _, w := range s.status().Workers {
		want = append(want, fmt.Sprintf("%d shutdown", w.PID))
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.until("old workers gone", func(st master.Status) bool { return len(st.Workers) == 2 })
	text, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the old workers noted %q, want each its message: %q", text, want)
	}
}

// TestMessagesGoToOneSlotAndCome sends each worker a message of its own.
func TestMessagesGoToOneSlotAndCome(t *testing.T) {
	said := make(chan master.Message, 10)
	s, _ := program(t, "message.js", func(cfg *master.Config) { cfg.Message = func(m master.Message) { said <- m } })
	for _, w := range s.status().Workers {
		text := fmt.Sprintf(`{"to":%d,"text":"<&>\u2028"}`, w.Slot)
		if err := s.Send(t.Context(), w.Slot, []byte(text)); err != nil {
			t.Fatal(err)
		}
		m := <-said
		var got struct {
			PID     int
			Message struct {
				To   int
				Text string
			}
		}
		if err := json.Unmarshal(m.Body, &got); err != nil {
			t.Fatal(err)
		}
		if m.Worker != w.ID || m.Slot != w.Slot || got.PID != w.PID || got.Message.To != w.Slot || got.Message.Text != "<&>\u2028" {
			t.Errorf("after a message to %+v came %+v: %s", w, m, m.Body)
		}
	}
	if err := s.Send(t.Context(), 2, []byte("1")); err == nil || !strings.Contains(err.Error(), "there is no slot 2") {
		t.Errorf("to a slot that is none: %v", err)
	}
}
