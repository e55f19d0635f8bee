// Package wire is the channel between a master and a worker: messages, their
// text, and the splitting of a byte stream into lines. PROTOCOL.md beside this
// file is its specification.
//
// The package holds no descriptor and makes no system call: who reads and
// writes, and when, is the master's loop and the worker's library.
//
// # Ownership
//
// Parse and Reader.Next give slices that are valid until the next read into the
// same Reader; what must live longer is copied by the caller.
//
// # Errors
//
// Parse never fails on a message it does not know (Kind Unknown); text that is not
// JSON is ErrNotJSON. Input of any kind cannot make it panic or hold more than the line.
package wire

import (
	"encoding/json"
	"errors"
)

// MaxLine is the longest line that a master writes, in bytes with its newline.
// A unix stream socket takes a line of this size whole or not at all.
const MaxLine = 16 << 10

// MaxBatch is the most descriptors that one message carries. Linux allows 253
// (SCM_MAX_FD); a smaller batch spreads better over workers.
const MaxBatch = 64

// TicketKeySize is the length of a key of session tickets, as crypto/tls takes it.
const TicketKeySize = 32

// ErrNotJSON is the error for a line that is not one JSON text.
var ErrNotJSON = errors.New("wire: not a JSON text")

// Kind is what a message means.
type Kind uint8

const (
	Unknown       Kind = iota // internal, and of no meaning here
	User                      // for the application: Body is its JSON
	HandleAck                 // a descriptor arrived
	HandleNack                // a descriptor did not arrive
	Online                    // worker: first message; Batch
	QueryServer               // worker: Query
	Listening                 // worker: Query, with the bound port
	Close                     // worker: Key
	Exited                    // worker: exitedAfterDisconnect
	Answer                    // either: to the message whose Seq is Ack
	NewConn                   // master: Key, one descriptor
	NewConns                  // master: Key, N descriptors
	Disconnect                // master
	SocketsClosed             // worker: Key; whether the sockets that it sent of one server are closed
	SocketCount               // worker: Key; how many of them are not
	Bun                       // worker: it is Bun, whose channel is another one
	Tickets                   // worker: wants the keys; master: Tickets
)

// A Message is one decoded line.
type Message struct {
	Kind     Kind
	Envelope bool  // it came in NODE_HANDLE: it wants a HandleAck or HandleNack
	Seq, Ack int64 // -1 when absent

	Accepted bool            // of Answer
	Refused  []int           // of Answer to NewConns
	Errno    int             // of Answer; 0 means none
	Sockname *Sockname       // of Answer
	Data     json.RawMessage // of Answer and Query; nil means null
	Key      string          // of Close, NewConn, NewConns, Answer, SocketsClosed and SocketCount
	N        int             // of NewConns
	Batch    int             // of Online; 0 means the worker knows no batches
	Query    *Query          // of QueryServer and Listening
	Body     []byte          // of User: the line
	Tickets  [][]byte        // of Tickets from a master: keys, the one to encrypt with first
}

// Sockname is the address of a listener as Node's getsockname shows it.
type Sockname struct {
	Address string `json:"address"`
	Family  string `json:"family"` // IPv4 or IPv6
	Port    int    `json:"port"`
}

// AddressType is the kind of address a query names.
type AddressType string

const (
	IPv4 AddressType = "4" // also with no address: any, of either family
	IPv6 AddressType = "6"
	Pipe AddressType = "-1" // a unix path
	UDP4 AddressType = "udp4"
	UDP6 AddressType = "udp6"
)

// Query is what a worker wants to listen on.
type Query struct {
	Address     string      // an IP address or a path; empty means any
	Port        int         // -1 for a path
	Type        AddressType // empty when not given (a query by FD)
	FD          int         // -1 when not given
	Index       int         // tells listeners of the same address in one worker apart
	Flags       int         // libuv's: V6Only, ReuseAddr
	Backlog     int         // 0 means the default
	Data        json.RawMessage
	ReadableAll bool // unix: mode bits
	WritableAll bool
	Name        string // rondo's extension: a passed socket by its name; the others are then not given, and Type says only if it is UDP
}

// Datagram tells of a query for a datagram socket, which is always shared.
func (q *Query) Datagram() bool { return q.Type == UDP4 || q.Type == UDP6 }

// Bits of Query.Flags.
const (
	FlagV6Only    = 1
	FlagReuseAddr = 4
)
