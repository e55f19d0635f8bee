package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/wire"
)

func newSend() *cobra.Command {
	return &cobra.Command{
		Use:   "send [NAME] SLOT JSON",
		Short: "Send the worker of a slot a message (process.on('message'))",
		Long: "Send the worker of a slot a message: one JSON text, for process.on('message') of a Node program and\n" +
			"Config.Message of a Go one. It returns when the worker has been sent it; rondo status lists the slots.",
		Example:           `rondo send app 0 '{"log": "debug"}'`,
		Args:              usageArgs(cobra.RangeArgs(2, 3), "a NAME, a slot and a message in JSON"),
		ValidArgsFunction: completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, slotText, message := args[:len(args)-2], args[len(args)-2], json.RawMessage(args[len(args)-1])
			slot, err := strconv.Atoi(slotText)
			if err != nil || slot < 0 {
				return usageError{fmt.Errorf("send: %q is not a slot, which rondo status lists", slotText)}
			}
			if _, err := wire.AppendUser(nil, message); err != nil {
				err = fmt.Errorf("send: the message %w", err)
				if !json.Valid(message) {
					err = errors.Join(err, errors.New(`a text stands in quotes, as in: rondo send app 0 '"hello"'`))
				}
				return usageError{err}
			}
			c, err := control.Find(cmd.Context(), nameIn(name))
			if err != nil {
				return err
			}
			if err := c.Send(cmd.Context(), slot, message); err != nil {
				return fmt.Errorf("send: %w", err)
			}
			return nil
		},
	}
}
