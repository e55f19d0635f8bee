package ledger

import (
	"strings"
	"testing"
)

func TestSecondAnswerInOnePieceIsTwice(t *testing.T) {
	for mode, connections := range map[Mode]int{PerRequest: 4, Kept: 3} {
		address := serve(t, "tcp", func(n int, p *peer) {
			id, _ := p.next()
			more := 1
			if n < 2 {
				more = 2
			}
			p.say(strings.Repeat(answerTo(id, ""), more))
			if mode == Kept {
				p.good()
			}
		})
		r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 4, Mode: mode})
		counts{Requests: 4, Sent: 4, Answered: 4, Twice: 2, Connections: connections}.check(t, r)
		if len(r.Failures) != 2 || r.Failures[0].Class != Twice || r.Failures[0].ID != "0-0-0" {
			t.Errorf("want 0-0-0 and 0-0-1 twice\n%s", r)
		}
	}
}

func TestSecondAnswerBeforeTheNextIsTwice(t *testing.T) {
	// Every request is answered after all before it have been answered once more.
	address := serve(t, "tcp", func(n int, p *peer) {
		var before strings.Builder
		for {
			id, ok := p.next()
			if !ok {
				return
			}
			p.say(before.String() + answerTo(id, ""))
			before.WriteString(answerTo(id, ""))
		}
	})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 4, Mode: Kept})
	counts{Requests: 4, Sent: 4, Answered: 4, Twice: 0 + 1 + 2 + 3, Connections: 1}.check(t, r)
}

func TestSecondAnswerBeforeAnIdleCloseIsTwice(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		id, _ := p.next()
		p.say(answerTo(id, ""))
		if _, ok := p.next(); ok && n == 0 {
			p.say(answerTo(id, "")) // and no byte of the next answer
		}
	})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 2, Mode: Kept})
	counts{Requests: 2, Sent: 3, Answered: 2, ClosedIdle: 1, Twice: 1, Connections: 2}.check(t, r)
}

func TestSecondAnswerAfterTheLastIsTwice(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		id, _ := p.next()
		p.say(answerTo(id, ""))
		p.gone() // no more requests
		p.say(answerTo(id, ""))
	})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Requests: 1, Mode: Kept})
	counts{Requests: 1, Sent: 1, Answered: 1, Twice: 1, Connections: 1}.check(t, r)
}

func TestRequestThatTwoWorkersBeganIsTwice(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {
		p.goodOnce()
		p.next() // the retry's id must be asked for, too
	})
	asked := make(map[string]bool)
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Clients: 2, Requests: 2, Mode: Kept,
		Served: func(id string) int {
			asked[id] = true
			switch id {
			case "0-0-0", "0-1-1r":
				return 2
			}
			return 0
		}})
	counts{Requests: 4, Sent: 6, Answered: 4, ClosedIdle: 2, Twice: 2, Connections: 4}.check(t, r)
	if len(asked) != 6 {
		t.Errorf("asked of %v, want all 6 ids", asked)
	}
}
