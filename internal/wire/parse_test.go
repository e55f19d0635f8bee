package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// parsed is Parse of one line that must be a message.
func parsed(t *testing.T, line string) Message {
	t.Helper()
	var m Message
	if err := Parse([]byte(line), &m); err != nil {
		t.Fatalf("Parse(%s) = %v, want no error", line, err)
	}
	return m
}

// ticketKeys is the data of a TLS server: 48 bytes in hex.
const ticketKeys = `{"ticketKeys":"a0971f11300f4bf47e530f6446ec3eb863bf08a1a96f34e0ad196c28dd7e263a58c89fcee9d5218ea98278e143891b13"}`

// Lines of workers as Node 16 to 26 were seen to write them.
func TestParseReadsWhatNodeWrites(t *testing.T) {
	tcp := func(q Query) *Query {
		if q.Type == "" {
			q.Type = IPv4
		}
		if q.FD == 0 {
			q.FD = -1
		}
		return &q
	}
	for _, row := range []struct {
		name, line string
		want       Message
	}{
		{"the first message", `{"cmd":"NODE_CLUSTER","act":"online","seq":0}`,
			Message{Kind: Online, Seq: 0, Ack: -1}},
		{"a port, up to Node 20", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":4001,"addressType":4,"backlog":0,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Port: 4001})}},
		{"a port, from Node 22", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":4001,"addressType":4,"flags":0,"backlog":0,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Port: 4001})}},
		{"an address and a callback, which makes backlog false", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"127.0.0.1","port":4001,"addressType":4,"flags":0,"backlog":false,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Address: "127.0.0.1", Port: 4001})}},
		{"IPv6 alone, with a backlog", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"::","port":4002,"addressType":6,"flags":1,"backlog":7,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Address: "::", Port: 4002, Type: IPv6, Flags: FlagV6Only, Backlog: 7})}},
		{"any port, asked the second time", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":1,"data":null,"address":null,"port":0,"addressType":4,"backlog":0,"seq":3}`,
			Message{Kind: QueryServer, Seq: 3, Ack: -1, Query: tcp(Query{Index: 1})}},
		{"a path with quotes", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/tmp/x \"q\".sock","port":-1,"addressType":-1,"backlog":0,"readableAll":true,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Address: `/tmp/x "q".sock`, Port: -1, Type: Pipe, ReadableAll: true})}},
		{"a path with a newline and no ASCII", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/tmp/a\nb/é","port":-1,"addressType":-1,"backlog":0,"writableAll":true,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Address: "/tmp/a\nb/é", Port: -1, Type: Pipe, WritableAll: true})}},
		{"an abstract name, which Node resolves like a path", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/tmp/\u0000abc","port":-1,"addressType":-1,"backlog":0,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Address: "/tmp/\x00abc", Port: -1, Type: Pipe})}},
		{"a server closes whose sockets were sent", `{"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":"4:127.0.0.1:0"}`, Message{Kind: SocketsClosed, Seq: -1, Ack: -1, Key: "4:127.0.0.1:0"}},
		{"Bun", "\x02" + `{"cmd":"NODE_CLUSTER","act":"online","seq":0}`, Message{Kind: Bun, Seq: -1, Ack: -1}},
		{"how many of them are open", `{"cmd":"NODE_SOCKET_GET_COUNT","key":"4:127.0.0.1:0"}`, Message{Kind: SocketCount, Seq: -1, Ack: -1, Key: "4:127.0.0.1:0"}},
		{"a descriptor", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":null,"addressType":null,"fd":3,"backlog":0,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: &Query{FD: 3}}},
		{"a datagram socket", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"0.0.0.0","port":5000,"addressType":"udp4","fd":-1,"flags":0,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Address: "0.0.0.0", Port: 5000, Type: UDP4})}},
		{"a datagram socket by descriptor", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":null,"addressType":"udp6","fd":9,"flags":null,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: &Query{Type: UDP6, FD: 9}}},
		{"a TLS server", `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":` + ticketKeys + `,"address":null,"port":4443,"addressType":4,"backlog":0,"seq":1}`,
			Message{Kind: QueryServer, Seq: 1, Ack: -1, Query: tcp(Query{Port: 4443, Data: json.RawMessage(ticketKeys)})}},
		{"listening, with the bound port", `{"cmd":"NODE_CLUSTER","act":"listening","index":0,"data":null,"address":null,"port":41234,"addressType":4,"backlog":0,"seq":2}`,
			Message{Kind: Listening, Seq: 2, Ack: -1, Query: tcp(Query{Port: 41234})}},
		{"a descriptor arrived", `{"cmd":"NODE_HANDLE_ACK"}`, Message{Kind: HandleAck, Seq: -1, Ack: -1}},
		{"a descriptor did not arrive", `{"cmd":"NODE_HANDLE_NACK"}`, Message{Kind: HandleNack, Seq: -1, Ack: -1}},
		{"a connection was accepted", `{"cmd":"NODE_CLUSTER","ack":17,"accepted":true,"seq":3}`,
			Message{Kind: Answer, Seq: 3, Ack: 17, Accepted: true}},
		{"a connection was refused", `{"cmd":"NODE_CLUSTER","ack":0,"accepted":false,"seq":4}`,
			Message{Kind: Answer, Seq: 4, Ack: 0}},
		{"a listener was closed", `{"cmd":"NODE_CLUSTER","act":"close","key":"k0","seq":2}`,
			Message{Kind: Close, Seq: 2, Ack: -1, Key: "k0"}},
		{"leaving", `{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":3}`,
			Message{Kind: Exited, Seq: 3, Ack: -1}},
		{"an act of a later release", `{"cmd":"NODE_CLUSTER","act":"somersault","seq":3}`,
			Message{Kind: Unknown, Seq: 3, Ack: -1}},
		{"an internal message that is not the cluster's", `{"cmd":"NODE_SOCKET_COUNT","key":"k","count":2}`,
			Message{Kind: Unknown, Seq: -1, Ack: -1}},
		{"a server that the application sends", `{"cmd":"NODE_HANDLE","type":"net.Server","msg":{"hello":"NODE_"}}`,
			Message{Kind: User, Envelope: true, Seq: -1, Ack: -1, Body: []byte(`{"hello":"NODE_"}`)}},
		{"a handle without a message", `{"cmd":"NODE_HANDLE","type":"net.Socket"}`,
			Message{Kind: User, Envelope: true, Seq: -1, Ack: -1, Body: []byte("null")}},
		{"a handle in a handle", `{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_HANDLE","type":"net.Native","msg":{}}}`,
			Message{Kind: Unknown, Envelope: true, Seq: -1, Ack: -1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := parsed(t, row.line); !reflect.DeepEqual(got, row.want) {
				t.Errorf("Parse(%s)\n got %+v %+v\nwant %+v %+v", row.line, got, got.Query, row.want, row.want.Query)
			}
		})
	}
}

func TestParseReadsWhatAMasterWrites(t *testing.T) {
	for _, row := range []struct {
		name, line string
		want       Message
	}{
		{"Node's answer to a query", `{"cmd":"NODE_CLUSTER","errno":null,"key":"null:4001:4:undefined:0","ack":1,"data":null,"sockname":{"address":"::","family":"IPv6","port":4001},"seq":0}`,
			Message{Kind: Answer, Seq: 0, Ack: 1, Key: "null:4001:4:undefined:0", Sockname: &Sockname{"::", "IPv6", 4001}}},
		{"an answer with an error and ticket keys", `{"cmd":"NODE_CLUSTER","errno":-98,"key":"k","ack":1,"data":` + ticketKeys + `,"seq":0}`,
			Message{Kind: Answer, Seq: 0, Ack: 1, Key: "k", Errno: -98, Data: json.RawMessage(ticketKeys)}},
		{"a connection", `{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":"k","seq":5}}`,
			Message{Kind: NewConn, Envelope: true, Seq: 5, Ack: -1, Key: "k"}},
		{"a batch", `{"cmd":"NODE_CLUSTER","act":"rondo.newconns","key":"k","n":3,"seq":5}`,
			Message{Kind: NewConns, Seq: 5, Ack: -1, Key: "k", N: 3}},
		{"a batch larger than any", `{"cmd":"NODE_CLUSTER","act":"rondo.newconns","key":"k","n":4000000000,"seq":5}`,
			Message{Kind: NewConns, Seq: 5, Ack: -1, Key: "k", N: MaxBatch}},
		{"drain", `{"cmd":"NODE_CLUSTER","act":"disconnect","seq":5}`,
			Message{Kind: Disconnect, Seq: 5, Ack: -1}},
		{"a bare answer", `{"cmd":"NODE_CLUSTER","ack":9,"seq":5}`,
			Message{Kind: Answer, Seq: 5, Ack: 9}},
		{"a batch refused in part", `{"cmd":"NODE_CLUSTER","ack":9,"accepted":true,"refused":[0,2],"seq":5}`,
			Message{Kind: Answer, Seq: 5, Ack: 9, Accepted: true, Refused: []int{0, 2}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := parsed(t, row.line); !reflect.DeepEqual(got, row.want) {
				t.Errorf("Parse(%s)\n got %+v\nwant %+v", row.line, got, row.want)
			}
		})
	}
}

// What is not an object with cmd NODE_ and more is the application's, whole.
func TestParseLeavesTheApplicationsMessagesAlone(t *testing.T) {
	for _, line := range []string{
		`"ready"`, `null`, `12`, `-0.5e3`, `true`, `[]`, `{}`, ` {"a":1} `,
		`{"cmd":"hello"}`, `{"cmd":"NODE_"}`, `{"cmd":12,"x":"NODE_CLUSTER"}`, `{"cmd":null,"x":"NODE_"}`,
		`["NODE_HANDLE_ACK"]`, `"NODE_HANDLE_ACK"`,
		`{"CMD":"NODE_HANDLE_ACK"}`, `{"cmd":"mine","Cmd":"NODE_HANDLE_ACK"}`,
		`{"cmd":"NODE_HANDLE_ACK","cmd":"mine"}`,
		`{"a":{"cmd":"NODE_HANDLE_ACK"}}`,
		`"\n` + "\u2028" + `é"`,
	} {
		m := parsed(t, line)
		if m.Kind != User || string(m.Body) != line || m.Envelope {
			t.Errorf("Parse(%s) = kind %d, body %s, want kind %d and the line", line, m.Kind, m.Body, User)
		}
	}
}

func TestParseRefusesWhatIsNotJSON(t *testing.T) {
	for _, line := range []string{
		``, ` `, `{`, `{"cmd":"NODE_HANDLE_ACK"}}`, `{"cmd":"NODE_HANDLE_ACK"`, `NODE_HANDLE_ACK`, "\x00", `{cmd:"NODE_x"}`,
		`{"cmd":"NODE_CLUSTER","ack":1,"accepted":true,"seq":01}`, "{\"cmd\":\"NODE_\n\"}", `{"cmd":"NODE_HANDLE_ACK"}{}`,
		strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
	} {
		var m Message
		if err := Parse([]byte(line), &m); !errors.Is(err, ErrNotJSON) {
			t.Errorf("Parse(%.60q) = %v, want %v", line, err, ErrNotJSON)
		}
		if m.Kind != Unknown || m.Seq != -1 || m.Ack != -1 {
			t.Errorf("Parse(%.60q) left %+v, want an empty message", line, m)
		}
	}
}

// Members stand for "not given" in any of the forms that a release writes.
func TestParseIsLenientWithMembers(t *testing.T) {
	for _, row := range []struct {
		members string
		want    Query
	}{
		{``, Query{FD: -1}},
		{`"address":null,"port":null,"addressType":null,"fd":null,"index":null,"flags":null,"backlog":null,"data":null`, Query{FD: -1}},
		{`"address":false,"port":false,"addressType":false,"fd":false,"index":false,"flags":false,"backlog":false`, Query{FD: -1}},
		{`"address":"","port":"","addressType":"","fd":"","index":"","flags":"","backlog":""`, Query{FD: -1}},
		{`"port":"4001","addressType":"4","fd":"-1","index":"2","flags":"1","backlog":"511"`, Query{Port: 4001, Type: IPv4, FD: -1, Index: 2, Flags: 1, Backlog: 511}},
		{`"port":4001.0,"addressType":6.0,"fd":3e0,"backlog":5.11e2`, Query{Port: 4001, Type: IPv6, FD: 3, Backlog: 511}},
		{`"port":40.5,"addressType":[4],"fd":{},"backlog":-4`, Query{FD: -1}},
		{`"port":1e400,"fd":99999999999999999999999,"index":"NaN"`, Query{FD: -1}},
		{`"addressType":-1,"port":-1,"address":"/a","readableAll":true,"writableAll":1`, Query{Type: Pipe, Port: -1, FD: -1, Address: "/a", ReadableAll: true}},
		{`"rondo":{"name":"http"}`, Query{FD: -1, Name: "http"}},
		{`"rondo":"http"`, Query{FD: -1}},
		{`"rondo":{"name":7}`, Query{FD: -1}},
		{`"PORT":1,"Address":"x"`, Query{FD: -1}},
		{`"port":1,"port":2,"add\u0072ess":"::1"`, Query{FD: -1, Port: 2, Address: "::1"}},
		{`"address":"\ud83d\ude00\"\\"`, Query{FD: -1, Address: "😀\"\\"}},
		{"\"address\":\"\xff\"", Query{FD: -1, Address: "\ufffd"}},
	} {
		line := `{"cmd":"NODE_CLUSTER","act":"queryServer","seq":1`
		if row.members != "" {
			line += "," + row.members
		}
		if got := parsed(t, line+"}").Query; !reflect.DeepEqual(*got, row.want) {
			t.Errorf("Parse of a query with %s\n got %+v\nwant %+v", row.members, *got, row.want)
		}
	}
}

func TestParseReadsWhatAWorkerSaysOfBatches(t *testing.T) {
	for rondo, want := range map[string]int{
		`{"batch":32}`: 32, `{"batch":1000000}`: MaxBatch, `{"batch":-3}`: 0, `{"batch":"8"}`: 8, `{"batch":null}`: 0, `{}`: 0, `null`: 0, `[]`: 0, `"batch"`: 0,
	} {
		m := parsed(t, `{"cmd":"NODE_CLUSTER","act":"online","rondo":`+rondo+`,"seq":0}`)
		if m.Kind != Online || m.Batch != want {
			t.Errorf("Parse of online with rondo %s = kind %d, batch %d, want kind %d, batch %d", rondo, m.Kind, m.Batch, Online, want)
		}
	}
	for refused, want := range map[string][]int{
		`[]`: {}, `null`: nil, `[1,-1,99]`: {1, -1, 99}, `"0"`: nil, `[0.5]`: nil, `[[0]]`: nil, `{}`: nil, `true`: nil,
	} {
		m := parsed(t, `{"cmd":"NODE_CLUSTER","ack":1,"accepted":true,"refused":`+refused+`,"seq":0}`)
		if !m.Accepted || !reflect.DeepEqual(m.Refused, want) {
			t.Errorf("Parse of an answer with refused %s = %v, %v, want true, %v", refused, m.Accepted, m.Refused, want)
		}
	}
}

// Only Body may change when the line's buffer is read into again.
func TestKeysOfTicketsAreWholeOrNone(t *testing.T) {
	key := strings.Repeat("A", 43) + "="
	for data, want := range map[string]Message{
		`null`:              {Kind: Tickets, Seq: 1, Ack: -1},
		`["` + key + `"]`:   {Kind: Tickets, Seq: 1, Ack: -1, Tickets: [][]byte{make([]byte, 32)}},
		`["AAAA"]`:          {Kind: Unknown, Seq: 1, Ack: -1},
		`["` + key + `",7]`: {Kind: Unknown, Seq: 1, Ack: -1},
		`{"a":1}`:           {Kind: Unknown, Seq: 1, Ack: -1},
	} {
		if got := parsed(t, `{"cmd":"NODE_CLUSTER","act":"rondo.tickets","data":`+data+`,"seq":1}`); !reflect.DeepEqual(got, want) {
			t.Errorf("data %s: %+v, want %+v", data, got, want)
		}
	}
}

func TestParseKeepsNothingOfTheLine(t *testing.T) {
	for _, line := range []string{
		`{"cmd":"NODE_CLUSTER","act":"queryServer","address":"/some/path","data":{"ticketKeys":"00"},"rondo":{"name":"http"},"seq":1}`,
		`{"cmd":"NODE_CLUSTER","ack":1,"key":"some key","data":[1,2],"sockname":{"address":"::1","family":"IPv6","port":1},"refused":[1],"seq":1}`,
		`{"cmd":"NODE_CLUSTER","act":"close","key":"some key","seq":1}`,
	} {
		var m, want Message
		b := []byte(line)
		if err := Parse(b, &m); err != nil {
			t.Fatal(err)
		}
		clear(b)
		if err := Parse([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("after its line was overwritten, got %+v %+v, want %+v %+v", m, m.Query, want, want.Query)
		}
	}
}

func TestParseOfAConnectionsMessagesAllocatesNothing(t *testing.T) {
	for _, line := range []string{
		`{"cmd":"NODE_HANDLE_ACK"}`,
		`{"cmd":"NODE_CLUSTER","ack":17,"accepted":true,"seq":3}`,
		`{"cmd":"NODE_CLUSTER","ack":17,"accepted":false,"seq":3}`,
	} {
		b, m := []byte(line), new(Message)
		if n := testing.AllocsPerRun(100, func() { Parse(b, m) }); n != 0 {
			t.Errorf("Parse(%s) allocates %v times, want 0", line, n)
		}
	}
	many := []byte(`{"a":[1,2,3],"seq":{"b":"}"}` + strings.Repeat(`,"c":"NODE_CLUSTER"`, 1000) + "}")
	var o object
	if n := testing.AllocsPerRun(100, func() { o.read(many) }); n != 0 {
		t.Errorf("a walk over a thousand members allocates %v times, want 0", n)
	}
}

func TestAQueryIsNamedAsNodeNamesIt(t *testing.T) {
	for _, row := range []struct {
		q            Query
		key, forUser string
	}{
		{Query{Port: 3000, Type: IPv4, FD: -1}, "null:3000:4:null:0", ":3000"},
		{Query{Address: "127.0.0.1", Port: 3000, Type: IPv4, FD: -1, Index: 2}, "127.0.0.1:3000:4:null:2", "127.0.0.1:3000"},
		{Query{Address: "::", Port: 3000, Type: IPv6, FD: -1}, ":::3000:6:null:0", "[::]:3000"},
		{Query{Address: "/a.sock", Port: -1, Type: Pipe, FD: -1}, "/a.sock:-1:-1:null:0", `"/a.sock"`},
		{Query{FD: 3}, "null:0::3:0", "fd:3"},
		{Query{FD: -1, Name: "http"}, "null:0::null:http:0", `the socket named "http"`},
	} {
		if got := row.q.Key(); got != row.key {
			t.Errorf("Key of %+v = %q, want %q", row.q, got, row.key)
		}
		if got := row.q.String(); got != row.forUser {
			t.Errorf("String of %+v = %s, want %s", row.q, got, row.forUser)
		}
	}
}
