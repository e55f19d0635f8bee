//go:build !linux || portable

package cgroup

// Elsewhere there are no control groups, and no service manager that leaves workers
// alive when their master ends.

import (
	"context"
	"errors"
)

func unit() string { return "" }

func leftovers(keep, lost []int) ([]Process, error) { return nil, errors.ErrUnsupported }

func strangers(string, []int) ([]Process, error) { return nil, errors.ErrUnsupported }

func kill(context.Context, []Process) error { return errors.ErrUnsupported }

func killIn(context.Context, string, []Process) error { return errors.ErrUnsupported }
