package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The Append functions add one whole line, with its newline, to dst.

// HandleAckLine and HandleNackLine answer an envelope.
const (
	HandleAckLine  = `{"cmd":"NODE_HANDLE_ACK"}` + "\n"
	HandleNackLine = `{"cmd":"NODE_HANDLE_NACK"}` + "\n"
)

// Quote gives s as JSON text, for the key argument of the functions below:
// a key is quoted once and sent many times.
func Quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("wire: a string is always JSON: " + err.Error())
	}
	return b
}

// AppendNewConn adds a newconn envelope; one descriptor goes with it.
func AppendNewConn(dst, quotedKey []byte, seq int64) []byte {
	dst = append(dst, `{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":`...)
	dst = append(dst, quotedKey...)
	return append(appendSeq(dst, seq), "}}\n"...)
}

// AppendNewConns adds a batch; n descriptors go with it.
func AppendNewConns(dst, quotedKey []byte, seq int64, n int) []byte {
	dst = append(dst, `{"cmd":"NODE_CLUSTER","act":"rondo.newconns","key":`...)
	dst = append(dst, quotedKey...)
	dst = append(dst, `,"n":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(appendSeq(dst, seq), "}\n"...)
}

// AppendReply adds the answer to the query whose seq was ack. data nil means
// null; sockname nil leaves it out.
func AppendReply(dst []byte, seq, ack int64, key string, errno int, data json.RawMessage, sockname *Sockname) []byte {
	return append(appendReply(dst, seq, ack, key, errno, data, sockname), '\n')
}

// AppendShare adds the answer to the query whose seq was ack, in the envelope of the
// socket that goes with it: the worker accepts from it, or receives, by itself.
func AppendShare(dst []byte, seq, ack int64, key string, datagram bool, data json.RawMessage) []byte {
	kind := "net.Native"
	if datagram {
		kind = "dgram.Native"
	}
	dst = append(append(append(dst, `{"cmd":"NODE_HANDLE","type":"`...), kind...), `","msg":`...)
	return append(appendReply(dst, seq, ack, key, 0, data, nil), "}\n"...)
}

func appendReply(dst []byte, seq, ack int64, key string, errno int, data json.RawMessage, sockname *Sockname) []byte {
	dst = append(dst, `{"cmd":"NODE_CLUSTER","ack":`...)
	dst = strconv.AppendInt(dst, ack, 10)
	dst = append(dst, `,"key":`...)
	dst = append(dst, Quote(key)...)
	dst = append(dst, `,"errno":`...)
	dst = strconv.AppendInt(dst, int64(errno), 10)
	dst = append(dst, `,"data":`...)
	if data == nil {
		data = json.RawMessage("null")
	}
	dst = append(dst, data...)
	if sockname != nil {
		b, err := json.Marshal(sockname)
		if err != nil {
			panic("wire: a sockname is always JSON: " + err.Error())
		}
		dst = append(append(dst, `,"sockname":`...), b...)
	}
	return append(appendSeq(dst, seq), '}')
}

// AppendAck adds a bare answer to the message whose seq was ack.
func AppendAck(dst []byte, seq, ack int64) []byte {
	dst = append(dst, `{"cmd":"NODE_CLUSTER","ack":`...)
	dst = strconv.AppendInt(dst, ack, 10)
	return append(appendSeq(dst, seq), "}\n"...)
}

// AppendDisconnect tells a worker to drain.
func AppendDisconnect(dst []byte, seq int64) []byte { return appendAct(dst, "disconnect", seq) }

// AppendExited tells the master that this worker leaves of its own will.
func AppendExited(dst []byte, seq int64) []byte { return appendAct(dst, "exitedAfterDisconnect", seq) }

// AppendSocketsClosed answers that all sockets are closed which a worker sent of the
// server of key: its own close waits for that.
func AppendSocketsClosed(dst []byte, key string) []byte {
	return append(append(append(dst, `{"cmd":"NODE_SOCKET_ALL_CLOSED","key":`...), Quote(key)...), "}\n"...)
}

// AppendSocketCount answers how many of them are not: none.
func AppendSocketCount(dst []byte, key string) []byte {
	return append(append(append(dst, `{"cmd":"NODE_SOCKET_COUNT","count":0,"key":`...), Quote(key)...), "}\n"...)
}

// AppendTickets tells the master that this worker shares the keys of TLS session tickets.
func AppendTickets(dst []byte, seq int64) []byte { return appendAct(dst, "rondo.tickets", seq) }

// AppendTicketKeys tells a worker the keys, the one to encrypt with first.
func AppendTicketKeys(dst []byte, seq int64, keys [][]byte) []byte {
	dst = append(dst, `{"cmd":"NODE_CLUSTER","act":"rondo.tickets","data":[`...)
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(base64.StdEncoding.AppendEncode(append(dst, '"'), key), '"')
	}
	return append(appendSeq(append(dst, ']'), seq), "}\n"...)
}

func appendAct(dst []byte, act string, seq int64) []byte {
	dst = append(dst, `{"cmd":"NODE_CLUSTER","act":"`...)
	dst = append(append(dst, act...), '"')
	return append(appendSeq(dst, seq), "}\n"...)
}

// AppendOnline adds a worker's first message; batch 0 leaves the extension out.
func AppendOnline(dst []byte, seq int64, batch int) []byte {
	dst = append(dst, `{"cmd":"NODE_CLUSTER","act":"online"`...)
	if batch > 0 {
		dst = append(dst, `,"rondo":{"batch":`...)
		dst = append(strconv.AppendInt(dst, int64(batch), 10), '}')
	}
	return append(appendSeq(dst, seq), "}\n"...)
}

// AppendAnswer adds a worker's answer to the connections of the message whose seq
// was ack. refused, when accepted, names those of a batch that are the master's.
func AppendAnswer(dst []byte, seq, ack int64, accepted bool, refused []int) []byte {
	dst = append(dst, hotAnswer...)
	dst = strconv.AppendInt(dst, ack, 10)
	dst = append(dst, `,"accepted":`...)
	dst = strconv.AppendBool(dst, accepted)
	if len(refused) > 0 {
		dst = append(dst, `,"refused":[`...)
		for i, r := range refused {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(r), 10)
		}
		dst = append(dst, ']')
	}
	return append(appendSeq(dst, seq), "}\n"...)
}

// AppendClose tells the master that the listener of key is closed.
func AppendClose(dst []byte, seq int64, key string) []byte {
	dst = append(dst, `{"cmd":"NODE_CLUSTER","act":"close","key":`...)
	dst = append(dst, Quote(key)...)
	return append(appendSeq(dst, seq), "}\n"...)
}

// AppendQuery asks for a listener. AppendListening says that it is open, with
// q.Port the bound one.
func AppendQuery(dst []byte, seq int64, q *Query) []byte {
	return appendQuery(dst, "queryServer", seq, q)
}

func AppendListening(dst []byte, seq int64, q *Query) []byte {
	return appendQuery(dst, "listening", seq, q)
}

func appendQuery(dst []byte, act string, seq int64, q *Query) []byte {
	o := map[string]any{
		"cmd": "NODE_CLUSTER", "act": act, "seq": seq, "index": q.Index, "data": nil,
		"address": nil, "port": q.Port, "addressType": q.Type, "backlog": q.Backlog, "flags": q.Flags,
	}
	if q.Address != "" {
		o["address"] = q.Address
	}
	if q.Data != nil {
		o["data"] = q.Data
	}
	if q.FD >= 0 {
		o["fd"], o["port"], o["addressType"] = q.FD, nil, nil
	}
	if n, err := strconv.Atoi(string(q.Type)); err == nil {
		o["addressType"] = n
	}
	if q.Name != "" {
		ext := map[string]any{"name": q.Name}
		if q.Datagram() {
			ext["datagram"] = true
		}
		o["rondo"] = ext
		o["port"], o["addressType"] = nil, nil
	}
	if q.Type == Pipe {
		o["readableAll"], o["writableAll"] = q.ReadableAll, q.WritableAll
	}
	b, err := json.Marshal(o)
	if err != nil {
		panic("wire: a query is always JSON: " + err.Error())
	}
	return append(append(dst, b...), '\n')
}

// AppendUser adds a user message: one JSON text for the application on the other side,
// without the spaces that mean nothing. The error says why it cannot be one; nothing is
// added then.
func AppendUser(dst []byte, message json.RawMessage) ([]byte, error) {
	var text bytes.Buffer
	if err := json.Compact(&text, message); err != nil {
		return dst, fmt.Errorf("is not JSON: %w", err)
	}
	if text.Len() >= MaxLine {
		return dst, fmt.Errorf("has %d bytes, and %d are the most", text.Len(), MaxLine-1)
	}
	var m Message
	if err := Parse(text.Bytes(), &m); err != nil {
		return dst, err
	}
	if m.Kind != User || m.Envelope {
		return dst, errors.New(`has a "cmd" that begins with NODE_, as only Node's own messages do`)
	}
	return append(append(dst, text.Bytes()...), '\n'), nil
}

func appendSeq(dst []byte, seq int64) []byte {
	return strconv.AppendInt(append(dst, `,"seq":`...), seq, 10)
}
