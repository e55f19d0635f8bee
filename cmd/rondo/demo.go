package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
)

const demoAddress = "127.0.0.1:8080"

func newDemo() *cobra.Command {
	address := demoAddress
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Show two workers behind one socket; needs nothing else",
		Example: "rondo demo",
		Args:    usageArgs(cobra.NoArgs, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			listen, err := settings.ParseListen(address)
			if err != nil {
				return usageError{fmt.Errorf("--listen: %w", err)}
			}
			return demo(cmd.Context(), listen, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&address, "listen", demoAddress, "`LISTEN`: PORT, IP:PORT or unix:/PATH to serve on")
	return cmd
}

func demo(ctx context.Context, listen settings.Listen, to io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	// The workers ask for a port of their own: what they listen on is mapped.
	listen.Want = &settings.Want{Port: demoWorkerPort}
	s, err := settings.Settings{
		Name: "demo", Command: []string{self, "demo-worker"}, Workers: 2, Listen: []settings.Listen{listen},
	}.Resolve()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	logger, journal, log := newLogger(s.Name)
	defer log.flush()
	listen.Want = nil
	cfg := master.Config{
		Settings: s, Logger: logger, Journal: journal,
		Notify: func(e master.Event) {
			if e.Ready {
				fmt.Fprint(to, demoText(listen))
			}
		},
	}
	var nobody *notify.Notifier
	sigs := takeSignals(nil)
	defer sigs.stop()
	return host(ctx, cfg, nobody, upgrading{}, sigs)
}

func demoText(listen settings.Listen) string {
	curl := "curl http://" + listen.String()
	if listen.Kind == settings.KindUnix {
		curl = "curl --unix-socket " + listen.Path + " http://demo"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nTwo workers serve %s. In another terminal:\n\n", listen)
	for _, line := range [][2]string{
		{curl, "each answer says which worker gave it; they take turns"},
		{"rondo status demo", "the listeners and the workers"},
		{"rondo reload demo", "two new workers, and no connection lost"},
		{"rondo scale demo 4", "four of them"},
	} {
		fmt.Fprintf(&b, "    %-28s  %s\n", line[0], line[1])
	}
	b.WriteString("\nStop with Ctrl-C.\n\n")
	return b.String()
}
