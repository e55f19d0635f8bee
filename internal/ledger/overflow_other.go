//go:build !linux && !darwin

// No other system has been looked at.

package ledger

import "errors"

func overflows() (Overflow, error) { return Overflow{}, errors.ErrUnsupported }
