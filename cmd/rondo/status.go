package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/systemd"
)

// watchEvery is how often --watch looks.
const watchEvery = time.Second

func newStatus() *cobra.Command {
	asJSON, watch := false, false
	cmd := &cobra.Command{
		Use:               "status [NAME]",
		Short:             "Show the listeners and workers",
		Example:           "rondo status app",
		Args:              usageArgs(cobra.MaximumNArgs(1), "one NAME"),
		ValidArgsFunction: completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := control.Find(cmd.Context(), nameIn(args))
			if err != nil && !asJSON && !watch {
				return waits(cmd, nameIn(args), err)
			}
			if err != nil {
				return err
			}
			show := showTable
			if asJSON {
				show = showJSON
			}
			if watch {
				return watchStatus(cmd.Context(), c, cmd.OutOrStdout(), show)
			}
			text, err := show(cmd.Context(), c)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again each second, until interrupted or the master ends")
	return cmd
}

// waits tells of an installed app whose service the first connection starts. For
// another one err stays.
func waits(cmd *cobra.Command, name string, err error) error {
	if name == "" || !control.NotRunning(err) {
		return err
	}
	for _, user := range []bool{true, false} {
		m := machine{user: user}
		sockets, unknown := m.waiting(cmd.Context(), name)
		if unknown != nil || len(sockets) == 0 {
			continue
		}
		verb := "listens"
		if len(sockets) > 1 {
			verb = "listen"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s; %s.service starts with the first connection\n", strings.Join(sockets, ", "), verb, name)
		return err
	}
	return err
}

// waiting asks the machine's manager.
func (m *machine) waiting(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askManager)
	defer cancel()
	manager, err := systemd.Connect(ctx, m.scope())
	if err != nil {
		return nil, err
	}
	defer manager.Close()
	if err := m.open(); err != nil {
		return nil, err
	}
	m.Manager = manager
	return m.Waiting(ctx, name)
}

// askManager is a bound for a manager that answers at once or not at all.
const askManager = 5 * time.Second

type show func(context.Context, *control.Caller) ([]byte, error)

// showJSON is what the master answers, with fields that we do not know too.
func showJSON(ctx context.Context, c *control.Caller) ([]byte, error) {
	var raw json.RawMessage
	if err := c.Status(ctx, &raw); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return nil, err
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}

func showTable(ctx context.Context, c *control.Caller) ([]byte, error) {
	var s status
	if err := c.Status(ctx, &s); err != nil {
		return nil, err
	}
	return statusTable(s), nil
}

// watchStatus shows on until an interrupt. On a terminal each time replaces the
// one before; elsewhere they follow each other.
func watchStatus(ctx context.Context, c *control.Caller, to io.Writer, show show) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		text, err := show(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if isTerminal(to) {
			text = append([]byte("\x1b[H\x1b[2J"), text...)
		}
		if _, err := to.Write(text); err != nil {
			return fmt.Errorf("status: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
