package worker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

func TestMessagesGoBothWays(t *testing.T) {
	got := make(chan string, 10)
	m, w := joinMaster(t, Config{Message: func(body json.RawMessage) { got <- string(body) }})
	_, fd := m.connection()
	m.write([]byte(`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"with":"a socket"}}`+"\n"), fd)
	closeAll([]int{fd})
	m.write([]byte("\"shutdown\"\n{\"a\":[1,null]}\n7\n"))
	m.want(wire.HandleAck)
	for _, want := range []string{`{"with":"a socket"}`, `"shutdown"`, `{"a":[1,null]}`, "7"} {
		if text := <-got; text != want {
			t.Errorf("the program got %s, want %s", text, want)
		}
	}
	for _, v := range []any{"ready", map[string]any{"type": "process:msg", "data": "<1>\n"}, nil, 7} {
		if err := w.Send(v); err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(v)
		if said := m.want(wire.User); string(said.Body) != string(want) {
			t.Errorf("the master got %s, want %s", said.Body, want)
		}
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	_, w := joinMaster(t, Config{})
	for want, v := range map[string]any{
		"unsupported type: func()":    func() {},
		"as only Node's own messages": map[string]string{"cmd": "NODE_CLUSTER"},
		"are the most":                strings.Repeat("x", wire.MaxLine),
	} {
		if err := w.Send(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Send = %v, want an error with %q", err, want)
		}
	}
	if err := new(Worker).Send(1); err == nil || !strings.Contains(err.Error(), "there is no master") {
		t.Errorf("Send without a master = %v", err)
	}
}
