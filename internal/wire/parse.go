package wire

import (
	"bytes"
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Parse decodes one line, without its newline, into m. The error is ErrNotJSON
// or nil. m.Body, and only it, points into line.
func Parse(line []byte, m *Message) error {
	*m = Message{Seq: -1, Ack: -1}
	if parseHot(line, m) {
		return nil
	}
	if len(line) > 0 && line[0] == bunMark {
		m.Kind = Bun
		return nil
	}
	if !json.Valid(line) {
		return ErrNotJSON
	}
	// Most large lines are user messages; they are not taken apart.
	if !bytes.Contains(line, []byte(`NODE_`)) {
		m.Kind, m.Body = User, line
		return nil
	}
	parseObject(line, m)
	return nil
}

// bunMark is before each internal message of Bun (1.4), which also wants it before ours.
const bunMark = 2

var (
	hotAck    = []byte(`{"cmd":"NODE_HANDLE_ACK"}`)
	hotAnswer = []byte(`{"cmd":"NODE_CLUSTER","ack":`)
	hotTrue   = []byte(`,"accepted":true,"seq":`)
	hotFalse  = []byte(`,"accepted":false,"seq":`)
)

// parseHot decodes the two messages that come with each connection, in the exact
// shape that every release of Node and our own library write. Any other shape is
// left to parseObject, which gives the same result (a fuzz test holds them equal).
func parseHot(line []byte, m *Message) bool {
	if bytes.Equal(line, hotAck) {
		m.Kind = HandleAck
		return true
	}
	rest, ok := bytes.CutPrefix(line, hotAnswer)
	if !ok {
		return false
	}
	ack, rest, ok := digits(rest)
	if !ok {
		return false
	}
	accepted := true
	if after, found := bytes.CutPrefix(rest, hotTrue); found {
		rest = after
	} else if after, found := bytes.CutPrefix(rest, hotFalse); found {
		rest, accepted = after, false
	} else {
		return false
	}
	seq, rest, ok := digits(rest)
	if !ok || len(rest) != 1 || rest[0] != '}' {
		return false
	}
	m.Kind, m.Ack, m.Seq, m.Accepted = Answer, ack, seq, accepted
	return true
}

// digits reads a decimal number of at most 15 digits: exact in JSON's doubles too.
func digits(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	if i == 0 || i > 15 || (i > 1 && b[0] == '0') {
		return 0, b, false
	}
	return n, b[i:], true
}

func parseObject(line []byte, m *Message) {
	var o object
	if !o.read(line) {
		m.Kind, m.Body = User, line
		return
	}
	cmd := text(o.cmd)
	switch {
	case len(cmd) <= len("NODE_") || !strings.HasPrefix(cmd, "NODE_"):
		m.Kind, m.Body = User, line
	case cmd == "NODE_HANDLE_ACK":
		m.Kind = HandleAck
	case cmd == "NODE_HANDLE_NACK":
		m.Kind = HandleNack
	case cmd == "NODE_HANDLE" && !m.Envelope:
		m.Envelope = true
		if o.msg == nil {
			o.msg = json.RawMessage("null")
		}
		parseObject(o.msg, m)
	case cmd == "NODE_CLUSTER":
		o.cluster(m)
	case cmd == "NODE_SOCKET_NOTIFY_CLOSE":
		m.Kind, m.Key = SocketsClosed, text(o.key)
	case cmd == "NODE_SOCKET_GET_COUNT":
		m.Kind, m.Key = SocketCount, text(o.key)
	default:
		m.Kind = Unknown
	}
}

// cluster decodes a message of the cluster module.
func (o *object) cluster(m *Message) {
	m.Seq, m.Ack = number(o.seq, -1), number(o.ack, -1)
	m.Key = text(o.key)
	switch act := text(o.act); act {
	case "":
		if m.Ack >= 0 {
			o.answer(m)
		}
	case "online":
		m.Kind = Online
		var ext struct{ Batch json.RawMessage }
		if json.Unmarshal(o.rondo, &ext) == nil {
			m.Batch = int(min(max(number(ext.Batch, 0), 0), MaxBatch))
		}
	case "queryServer", "listening":
		m.Kind = QueryServer
		if act == "listening" {
			m.Kind = Listening
		}
		m.Query = o.query()
	case "close":
		m.Kind = Close
	case "exitedAfterDisconnect":
		m.Kind = Exited
	case "newconn":
		m.Kind = NewConn
	case "rondo.newconns":
		m.Kind, m.N = NewConns, int(min(max(number(o.n, 0), 0), MaxBatch))
	case "disconnect":
		m.Kind = Disconnect
	case "rondo.tickets":
		m.Kind, m.Tickets = Tickets, nil
		if data := nonNull(o.data); data != nil && (json.Unmarshal(data, &m.Tickets) != nil || slices.ContainsFunc(m.Tickets, noTicketKey)) {
			m.Kind, m.Tickets = Unknown, nil
		}
	default:
		m.Kind = Unknown
	}
}

func noTicketKey(key []byte) bool { return len(key) != TicketKeySize }

func (o *object) answer(m *Message) {
	m.Kind = Answer
	m.Accepted = truth(o.accepted)
	m.Errno = int(number(o.errno, 0))
	m.Data = nonNull(o.data)
	var refused []int
	if json.Unmarshal(o.refused, &refused) == nil {
		m.Refused = refused
	}
	var name Sockname
	if s := nonNull(o.sockname); s != nil && json.Unmarshal(s, &name) == nil {
		m.Sockname = &name
	}
}

func (o *object) query() *Query {
	q := &Query{
		Address:     text(o.address),
		Port:        int(number(o.port, 0)),
		Type:        AddressType(text(o.addressType)),
		FD:          int(number(o.fd, -1)),
		Index:       int(number(o.index, 0)),
		Flags:       int(number(o.flags, 0)),
		Backlog:     int(max(number(o.backlog, 0), 0)),
		Data:        nonNull(o.data),
		ReadableAll: truth(o.readableAll),
		WritableAll: truth(o.writableAll),
	}
	if q.Type == "" {
		if n := number(o.addressType, 0); n != 0 {
			q.Type = AddressType(strconv.FormatInt(n, 10))
		}
	}
	var ext struct{ Name, Datagram json.RawMessage }
	if json.Unmarshal(o.rondo, &ext) == nil {
		q.Name = text(ext.Name)
		if q.Name != "" && truth(ext.Datagram) {
			q.Type = UDP4
		}
	}
	return q
}

// Key names the query as Node's primary names its handles.
func (q *Query) Key() string {
	return q.Tuple() + ":" + strconv.Itoa(q.Index)
}

// Tuple is Key without the index: what a worker asks for.
func (q *Query) Tuple() string {
	address, fd := q.Address, "null"
	if address == "" {
		address = "null"
	}
	if q.FD >= 0 {
		fd = strconv.Itoa(q.FD)
	}
	parts := []string{address, strconv.Itoa(q.Port), string(q.Type), fd}
	if q.Name != "" {
		parts = append(parts, q.Name)
	}
	return strings.Join(parts, ":")
}

func text(raw json.RawMessage) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	if i := bytes.IndexByte(raw, '\\'); i < 0 && isASCII(raw) {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// number reads an integer, also one in a string; anything else is missing.
func number(raw json.RawMessage, missing int64) int64 {
	s := string(bytes.Trim(raw, `"`))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != float64(int64(f)) {
		return missing
	}
	return int64(f)
}

func truth(raw json.RawMessage) bool { return string(raw) == "true" }

// nonNull gives a copy of raw, or nil for null.
func nonNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return bytes.Clone(raw)
}

// String names the query for people.
func (q *Query) String() string {
	switch {
	case q.Name != "":
		return "the socket named " + strconv.Quote(q.Name)
	case q.FD >= 0:
		return "fd:" + strconv.Itoa(q.FD)
	case q.Type == Pipe:
		return strconv.Quote(q.Address)
	}
	at := net.JoinHostPort(q.Address, strconv.Itoa(q.Port))
	if q.Datagram() {
		return "udp:" + at
	}
	return at
}
