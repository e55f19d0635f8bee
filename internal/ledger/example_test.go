package ledger_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/rondokit/rondo/internal/ledger"
)

func Example() {
	who := ledger.Who{Worker: 1, PID: 4711, Generation: 1}
	server := httptest.NewServer(ledger.Handler(who))
	defer server.Close()

	answered := make(chan ledger.Who, 1)
	load, err := ledger.New(ledger.Config{
		Network: "tcp", Address: server.Listener.Addr().String(),
		Clients: 4, Mode: ledger.Kept,
		Answered: func(who ledger.Who) {
			select {
			case answered <- who:
			default: // only the first is waited for
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-answered // the load is under way: here a test does what must lose nothing
		cancel()
	}()
	report, err := load.Run(ctx)
	if err == nil {
		err = report.Check()
	}
	fmt.Println(err, report.Lost, report.Answered == report.Workers[who])
	// Output: <nil> 0 true
}
