//go:build !linux

package sys

// Elsewhere nothing keeps a descriptor for the next process, so no memory needs one.

import "errors"

func shared(string, int) (int, []byte, error) { return -1, nil, errors.ErrUnsupported }

func mapShared(int) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmap([]byte) {}

func clearShared(int, int, int) error { return errors.ErrUnsupported }
