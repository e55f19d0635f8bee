//go:build !linux || portable

package sys

// Elsewhere only a child's end can be waited for, which Process does.

import (
	"context"
	"errors"
	"syscall"
)

// A Handle means one process for good, where the system can.
type Handle struct{}

func openHandle(int) (*Handle, error) { return nil, errors.ErrUnsupported }

func (h *Handle) signal(syscall.Signal) error { return errors.ErrUnsupported }

func (h *Handle) wait(context.Context) error { return errors.ErrUnsupported }

func (h *Handle) close() {}
