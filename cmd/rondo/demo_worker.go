package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/worker"
)

// demoWorkerPort is what the demo's workers ask for, and nobody binds.
const demoWorkerPort = 3000

func newDemoWorker() *cobra.Command {
	return &cobra.Command{
		Use:     "demo-worker",
		Short:   "Be a worker of rondo demo",
		Example: "rondo demo",
		Hidden:  true,
		Args:    usageArgs(cobra.NoArgs, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := worker.Join(worker.Config{})
			if err != nil {
				return err
			}
			if w.ID() == 0 {
				return usageError{fmt.Errorf("demo-worker is started by: rondo demo")}
			}
			l, err := w.Listen(cmd.Context(), "tcp", ":"+strconv.Itoa(demoWorkerPort))
			if err != nil {
				return err
			}
			return worker.Serve(cmd.Context(), w, &http.Server{Handler: demoHandler(w)}, l)
		},
	}
}

func demoHandler(w *worker.Worker) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, "hello from worker %d in slot %d, generation %d, pid %d\n", w.ID(), w.Slot(), w.Generation(), os.Getpid())
	})
}
