//go:build !linux && !darwin

package control

// Elsewhere we do not know how to ask, and so let nobody in.

import (
	"errors"
	"fmt"
)

func credentials(int) (peer, error) {
	return peer{}, fmt.Errorf("credentials of a unix socket's peer: %w", errors.ErrUnsupported)
}

const maxSocketPath = 103
