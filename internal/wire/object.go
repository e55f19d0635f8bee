package wire

import (
	"bytes"
	"encoding/json"
)

// object holds the members that mean something in any message. Raw, because
// releases of Node differ in the JSON type of several.
type object struct {
	cmd, msg, act, seq, ack                json.RawMessage
	key, accepted, refused, errno, data, n json.RawMessage
	sockname, rondo                        json.RawMessage
	address, port, addressType, fd, index  json.RawMessage
	flags, backlog, readableAll            json.RawMessage
	writableAll                            json.RawMessage
}

// field gives the place of the member called name. Names are told apart by case:
// encoding/json would fill a struct also from "CMD", and what an application says
// in its own messages would become ours.
func (o *object) field(name []byte) *json.RawMessage {
	switch string(name) {
	case "cmd":
		return &o.cmd
	case "msg":
		return &o.msg
	case "act":
		return &o.act
	case "seq":
		return &o.seq
	case "ack":
		return &o.ack
	case "key":
		return &o.key
	case "accepted":
		return &o.accepted
	case "refused":
		return &o.refused
	case "errno":
		return &o.errno
	case "data":
		return &o.data
	case "n":
		return &o.n
	case "sockname":
		return &o.sockname
	case "rondo":
		return &o.rondo
	default:
		return o.queryField(name)
	}
}

// queryField is field for the members of a query alone.
func (o *object) queryField(name []byte) *json.RawMessage {
	switch string(name) {
	case "address":
		return &o.address
	case "port":
		return &o.port
	case "addressType":
		return &o.addressType
	case "fd":
		return &o.fd
	case "index":
		return &o.index
	case "flags":
		return &o.flags
	case "backlog":
		return &o.backlog
	case "readableAll":
		return &o.readableAll
	case "writableAll":
		return &o.writableAll
	default:
		return nil
	}
}

// read fills o from raw, which json.Valid has accepted, with slices of it; false
// means that raw is no object. Of a name that stands twice the last counts, as in
// JSON.parse. It allocates nothing, however many members a worker sends.
func (o *object) read(raw []byte) bool {
	raw = bytes.Trim(raw, jsonSpace)
	if raw[0] != '{' {
		return false
	}
	rest := skipSpace(raw[1:])
	for rest[0] != '}' {
		var name, value []byte
		name, rest = cutValue(rest)
		value, rest = cutValue(skipSpace(skipSpace(rest)[len(":"):]))
		name = name[1 : len(name)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(text(append(append([]byte{'"'}, name...), '"')))
		}
		if field := o.field(name); field != nil {
			*field = value
		}
		if rest = skipSpace(rest); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return true
}

const jsonSpace = " \t\r\n"

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, jsonSpace) }

// cutValue cuts the value that valid JSON begins with.
func cutValue(b []byte) (value, rest []byte) {
	depth, i := 0, 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 { // of what the value is in: a number or word has ended
				return b[:i], b[i:]
			}
			depth--
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return b[:i], b[i:]
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return b[:i+1], b[i+1:]
		}
	}
	return b, nil
}

// stringEnd gives where the string that begins at b[i] has its closing quote.
func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i
}
