package worker

import (
	"testing"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// FuzzChannel holds that nothing which a master can write makes the worker panic,
// hang or keep a descriptor: after any bytes, cut in two anywhere, with a
// descriptor on either part, it still answers the next message.
func FuzzChannel(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "{}\n", "garbage\n{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\",\"seq\":1}\n",
		`{"cmd":"NODE_CLUSTER","act":"rondo.newconns","key":"k","n":2,"seq":5}` + "\n",
		`{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":"k","seq":0}}` + "\n",
		`{"cmd":"NODE_CLUSTER","ack":1,"key":"k","errno":0,"sockname":{"port":80}}` + "\n",
	} {
		f.Add([]byte(seed), uint16(len(seed)/2))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		m, w := joinMaster(t, Config{})
		m.listen(w, "k")
		at := min(int(cut), len(data))
		for _, part := range [][]byte{data[:at], data[at:]} {
			if len(part) == 0 {
				continue
			}
			a, b, err := sys.Socketpair()
			if err != nil {
				t.Fatal(err)
			}
			m.write(part, b)
			closeAll([]int{a, b})
		}
		const probe = 1 << 40 // a seq that data is not likely to have
		m.write(append([]byte("\n"), wire.AppendNewConns(nil, wire.Quote("no such key"), probe, 1)...))
		for got := m.next(); got.Kind != wire.Answer || got.Ack != probe; got = m.next() {
		}
	})
}
