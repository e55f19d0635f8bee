package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// oddKeys are keys that worry a quoter: what they hold must come back.
var oddKeys = []string{
	"null:3000:4:null:0", "", `"`, `\`, "\n", "\r\n", "\x00", "\u2028\u2029", "<&>", "é", "😀", "/tmp/a\nb \"c\"\x00:-1:-1:null:0", strings.Repeat(`"`, 2000),
}

// node is what JSON.parse would make of one line that an Append function wrote.
func node(t *testing.T, line []byte) any {
	t.Helper()
	text, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok || bytes.IndexByte(text, '\n') >= 0 {
		t.Fatalf("%q is not one line", line)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

type js = map[string]any

func TestAppendWritesWhatNodeReads(t *testing.T) {
	const key = "null:3000:4:null:0"
	sockname := &Sockname{Address: "::", Family: "IPv6", Port: 3000}
	for _, row := range []struct {
		name string
		line []byte
		want js
	}{
		{"newconn", AppendNewConn(nil, Quote(key), 7),
			js{"cmd": "NODE_HANDLE", "type": "net.Native", "msg": js{"cmd": "NODE_CLUSTER", "act": "newconn", "key": key, "seq": 7.0}}},
		{"rondo.newconns", AppendNewConns(nil, Quote(key), 7, 3),
			js{"cmd": "NODE_CLUSTER", "act": "rondo.newconns", "key": key, "n": 3.0, "seq": 7.0}},
		{"an answer to a query for TCP", AppendReply(nil, 1, 2, key, 0, nil, sockname),
			js{"cmd": "NODE_CLUSTER", "ack": 2.0, "key": key, "errno": 0.0, "data": nil, "seq": 1.0,
				"sockname": js{"address": "::", "family": "IPv6", "port": 3000.0}}},
		{"an answer to a query for a path has no sockname", AppendReply(nil, 1, 2, "/a.sock:-1:-1:null:0", 0, nil, nil),
			js{"cmd": "NODE_CLUSTER", "ack": 2.0, "key": "/a.sock:-1:-1:null:0", "errno": 0.0, "data": nil, "seq": 1.0}},
		{"an error, with the data that a TLS server reads", AppendReply(nil, 1, 2, "", -98, json.RawMessage(`{"ticketKeys":"00"}`), nil),
			js{"cmd": "NODE_CLUSTER", "ack": 2.0, "key": "", "errno": -98.0, "data": js{"ticketKeys": "00"}, "seq": 1.0}},
		{"a listener that is shared", AppendShare(nil, 1, 2, key, false, nil),
			js{"cmd": "NODE_HANDLE", "type": "net.Native", "msg": js{"cmd": "NODE_CLUSTER", "ack": 2.0, "key": key, "errno": 0.0, "data": nil, "seq": 1.0}}},
		{"a datagram socket", AppendShare(nil, 1, 2, key, true, nil),
			js{"cmd": "NODE_HANDLE", "type": "dgram.Native", "msg": js{"cmd": "NODE_CLUSTER", "ack": 2.0, "key": key, "errno": 0.0, "data": nil, "seq": 1.0}}},
		{"a bare answer", AppendAck(nil, 4, 5), js{"cmd": "NODE_CLUSTER", "ack": 5.0, "seq": 4.0}},
		{"all sockets of a server are closed", AppendSocketsClosed(nil, "4:127.0.0.1:0"), js{"cmd": "NODE_SOCKET_ALL_CLOSED", "key": "4:127.0.0.1:0"}},
		{"none of them is open", AppendSocketCount(nil, "4:127.0.0.1:0"), js{"cmd": "NODE_SOCKET_COUNT", "key": "4:127.0.0.1:0", "count": 0.0}},
		{"a question for keys of tickets", AppendTickets(nil, 4), js{"cmd": "NODE_CLUSTER", "act": "rondo.tickets", "seq": 4.0}},
		{"keys of tickets", AppendTicketKeys(nil, 4, [][]byte{bytes.Repeat([]byte{1}, 32), make([]byte, 32)}), js{"cmd": "NODE_CLUSTER", "act": "rondo.tickets", "seq": 4.0,
			"data": []any{"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}},
		{"disconnect", AppendDisconnect(nil, 4), js{"cmd": "NODE_CLUSTER", "act": "disconnect", "seq": 4.0}},
		{"exitedAfterDisconnect", AppendExited(nil, 4), js{"cmd": "NODE_CLUSTER", "act": "exitedAfterDisconnect", "seq": 4.0}},
		{"online", AppendOnline(nil, 0, 0), js{"cmd": "NODE_CLUSTER", "act": "online", "seq": 0.0}},
		{"online with batches", AppendOnline(nil, 0, 32), js{"cmd": "NODE_CLUSTER", "act": "online", "rondo": js{"batch": 32.0}, "seq": 0.0}},
		{"accepted", AppendAnswer(nil, 8, 7, true, nil), js{"cmd": "NODE_CLUSTER", "ack": 7.0, "accepted": true, "seq": 8.0}},
		{"refused", AppendAnswer(nil, 8, 7, false, nil), js{"cmd": "NODE_CLUSTER", "ack": 7.0, "accepted": false, "seq": 8.0}},
		{"refused in part", AppendAnswer(nil, 8, 7, true, []int{0, 2}),
			js{"cmd": "NODE_CLUSTER", "ack": 7.0, "accepted": true, "refused": []any{0.0, 2.0}, "seq": 8.0}},
		{"close", AppendClose(nil, 8, key), js{"cmd": "NODE_CLUSTER", "act": "close", "key": key, "seq": 8.0}},
		{"a query for a port", AppendQuery(nil, 1, &Query{Port: 3000, Type: IPv4, FD: -1}),
			js{"cmd": "NODE_CLUSTER", "act": "queryServer", "index": 0.0, "data": nil, "address": nil, "port": 3000.0, "addressType": 4.0, "flags": 0.0, "backlog": 0.0, "seq": 1.0}},
		{"a query by descriptor", AppendQuery(nil, 1, &Query{FD: 3}),
			js{"cmd": "NODE_CLUSTER", "act": "queryServer", "index": 0.0, "data": nil, "address": nil, "port": nil, "addressType": nil, "fd": 3.0, "flags": 0.0, "backlog": 0.0, "seq": 1.0}},
		{"a query for a path", AppendListening(nil, 1, &Query{Address: "/a", Port: -1, Type: Pipe, FD: -1}),
			js{"cmd": "NODE_CLUSTER", "act": "listening", "index": 0.0, "data": nil, "address": "/a", "port": -1.0, "addressType": -1.0, "flags": 0.0, "backlog": 0.0, "readableAll": false, "writableAll": false, "seq": 1.0}},
		{"a query by name", AppendQuery(nil, 1, &Query{FD: -1, Name: "http"}),
			js{"cmd": "NODE_CLUSTER", "act": "queryServer", "index": 0.0, "data": nil, "address": nil, "port": nil, "addressType": nil, "rondo": js{"name": "http"}, "flags": 0.0, "backlog": 0.0, "seq": 1.0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := node(t, row.line); !reflect.DeepEqual(got, any(row.want)) {
				t.Errorf("%s\n got %v\nwant %v", row.line, got, row.want)
			}
		})
	}
}

// The messages that come with each connection have one text, which the other
// side's quick path knows.
func TestAppendWritesTheHotMessagesAsNodeDoes(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{string(AppendAnswer(nil, 3, 17, true, nil)), `{"cmd":"NODE_CLUSTER","ack":17,"accepted":true,"seq":3}` + "\n"},
		{string(AppendAnswer(nil, 3, 17, false, nil)), `{"cmd":"NODE_CLUSTER","ack":17,"accepted":false,"seq":3}` + "\n"},
		{HandleAckLine, `{"cmd":"NODE_HANDLE_ACK"}` + "\n"},
		{HandleNackLine, `{"cmd":"NODE_HANDLE_NACK"}` + "\n"},
		{string(AppendNewConn(nil, Quote("k"), 5)), `{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":"k","seq":5}}` + "\n"},
	} {
		if row.got != row.want {
			t.Errorf("got %s, want %s", row.got, row.want)
		}
	}
}

func TestAnyKeyComesBackAsItWas(t *testing.T) {
	for _, key := range oddKeys {
		for name, line := range map[string][]byte{
			"newconn":  AppendNewConn(nil, Quote(key), 1),
			"newconns": AppendNewConns(nil, Quote(key), 1, 1),
			"reply":    AppendReply(nil, 1, 1, key, 0, nil, nil),
			"close":    AppendClose(nil, 1, key),
		} {
			node(t, line)
			if got := parsed(t, strings.TrimSuffix(string(line), "\n")).Key; got != key {
				t.Errorf("%s: Parse(%.200s).Key = %q, want %q", name, line, got, key)
			}
		}
	}
}

// What one side appends, the other side's Parse gives back.
func TestAppendAndParseAreInverse(t *testing.T) {
	data := json.RawMessage(`{"ticketKeys":"00"}`)
	queries := []Query{
		{Port: 3000, Type: IPv4, FD: -1},
		{Address: "127.0.0.1", Port: 3000, Type: IPv4, FD: -1, Backlog: 511, Flags: FlagReuseAddr},
		{Address: "::", Port: 0, Type: IPv6, FD: -1, Index: 3, Flags: FlagV6Only, Data: data},
		{FD: 7, Index: 1},
		{FD: -1, Name: "web \"x\""},
		{FD: -1, Name: "dns", Type: UDP4},
		{Address: "0.0.0.0", Port: 53, Type: UDP4, FD: -1, Flags: FlagReuseAddr},
	}
	for _, path := range oddKeys {
		if path != "" {
			queries = append(queries, Query{Address: path, Port: -1, Type: Pipe, FD: -1, ReadableAll: true, WritableAll: len(path)%2 == 0})
		}
	}
	type row struct {
		line []byte
		want Message
	}
	rows := []row{
		{AppendNewConn(nil, Quote("k"), 1<<40), Message{Kind: NewConn, Envelope: true, Key: "k", Seq: 1 << 40, Ack: -1}},
		{AppendNewConns(nil, Quote("k"), 2, 64), Message{Kind: NewConns, Key: "k", N: 64, Seq: 2, Ack: -1}},
		{AppendReply(nil, 1, 2, "k", -13, data, &Sockname{"1.2.3.4", "IPv4", 80}),
			Message{Kind: Answer, Seq: 1, Ack: 2, Key: "k", Errno: -13, Data: data, Sockname: &Sockname{"1.2.3.4", "IPv4", 80}}},
		{AppendShare(nil, 1, 2, "k", true, data), Message{Kind: Answer, Envelope: true, Seq: 1, Ack: 2, Key: "k", Data: data}},
		{AppendAck(nil, 0, 0), Message{Kind: Answer}},
		{AppendDisconnect(nil, 3), Message{Kind: Disconnect, Seq: 3, Ack: -1}},
		{AppendExited(nil, 3), Message{Kind: Exited, Seq: 3, Ack: -1}},
		{AppendOnline(nil, 0, 64), Message{Kind: Online, Ack: -1, Batch: 64}},
		{AppendOnline(nil, 0, 0), Message{Kind: Online, Ack: -1}},
		{AppendAnswer(nil, 1, 2, true, nil), Message{Kind: Answer, Seq: 1, Ack: 2, Accepted: true}},
		{AppendAnswer(nil, 1, 2, false, nil), Message{Kind: Answer, Seq: 1, Ack: 2}},
		{AppendAnswer(nil, 1, 2, true, []int{5}), Message{Kind: Answer, Seq: 1, Ack: 2, Accepted: true, Refused: []int{5}}},
		{AppendClose(nil, 1, "k"), Message{Kind: Close, Seq: 1, Ack: -1, Key: "k"}},
		{[]byte(HandleAckLine), Message{Kind: HandleAck, Seq: -1, Ack: -1}},
		{[]byte(HandleNackLine), Message{Kind: HandleNack, Seq: -1, Ack: -1}},
	}
	for i := range queries {
		rows = append(rows,
			row{AppendQuery(nil, 1, &queries[i]), Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: &queries[i]}},
			row{AppendListening(nil, 1, &queries[i]), Message{Kind: Listening, Seq: 1, Ack: -1, Query: &queries[i]}})
	}
	for _, r := range rows {
		node(t, r.line)
		if got := parsed(t, strings.TrimSuffix(string(r.line), "\n")); !reflect.DeepEqual(got, r.want) {
			t.Errorf("Parse(%.300s)\n got %+v %+v\nwant %+v %+v", r.line, got, got.Query, r.want, r.want.Query)
		}
	}
}

func TestAppendAddsToWhatIsThere(t *testing.T) {
	b := AppendDisconnect([]byte("before"), 1)
	if got, want := string(b), `before{"cmd":"NODE_CLUSTER","act":"disconnect","seq":1}`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAppendOfAConnectionAllocatesNothing(t *testing.T) {
	buf, key := make([]byte, 0, MaxLine), Quote("null:3000:4:null:0")
	n := testing.AllocsPerRun(100, func() {
		buf = AppendNewConn(buf[:0], key, 1<<50)
		buf = AppendNewConns(buf[:0], key, 1<<50, 64)
		buf = AppendAnswer(buf[:0], 1<<50, 1<<50, true, nil)
	})
	if n != 0 {
		t.Errorf("appending allocates %v times, want 0", n)
	}
}

func TestAppendOfAUserMessageKeepsWhatItMeans(t *testing.T) {
	for text, want := range map[string]any{
		`"shutdown"`:                           "shutdown",
		" { \"a\" : [1,\n2] } ":                js{"a": []any{1.0, 2.0}},
		`null`:                                 nil,
		`{"cmd":"NODE"}`:                       js{"cmd": "NODE"},
		`{"cmd":"node_handle"}`:                js{"cmd": "node_handle"},
		`{"cmd":["NODE_CLUSTER"]}`:             js{"cmd": []any{"NODE_CLUSTER"}},
		`"` + strings.Repeat("x", 16000) + `"`: strings.Repeat("x", 16000),
	} {
		line, err := AppendUser(nil, json.RawMessage(text))
		if err != nil {
			t.Errorf("AppendUser(%.40s): %v", text, err)
			continue
		}
		if got := node(t, line); !reflect.DeepEqual(got, want) {
			t.Errorf("AppendUser(%.40s) wrote %.40v, want %.40v", text, got, want)
		}
		if m := parsed(t, strings.TrimSuffix(string(line), "\n")); m.Kind != User {
			t.Errorf("%.40s is read as kind %d, want a user message", text, m.Kind)
		}
	}
	for text, want := range map[string]string{
		``:                                       "is not JSON: unexpected end",
		`hello`:                                  "is not JSON: invalid character 'h'",
		`1 2`:                                    "is not JSON",
		`{"cmd":"NODE_CLUSTER"}`:                 "as only Node's own messages do",
		`{"cmd":"NODE_\u0048ANDLE"}`:             "as only Node's own messages do",
		`{"cmd":"NODE_HANDLE","msg":"x"}`:        "as only Node's own messages do",
		`"` + strings.Repeat("x", MaxLine) + `"`: "has 16386 bytes, and 16383 are the most",
	} {
		if line, err := AppendUser([]byte("before"), json.RawMessage(text)); err == nil || !strings.Contains(err.Error(), want) || string(line) != "before" {
			t.Errorf("AppendUser(%.40s) = %.40q, %v, want an error with %q and nothing added", text, line, err, want)
		}
	}
}
