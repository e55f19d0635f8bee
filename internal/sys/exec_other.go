//go:build !linux

package sys

import (
	"errors"
	"syscall"
)

func blockSignals([]syscall.Signal) (func(), error) { return nil, errors.ErrUnsupported }
