package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// undo takes back what was done, the last first.
type undo struct{ steps []undoStep }

type undoStep struct {
	what string // for people, if it cannot be taken back
	do   func(context.Context) error
}

func (u *undo) add(what string, do func(context.Context) error) {
	u.steps = append(u.steps, undoStep{what, do})
}

// replace puts f, or nothing, in the place of what is at path.
func (u *undo) replace(path string, f *file) error {
	old, err := read(path)
	if err != nil {
		return err
	}
	u.add("restore "+path, func(context.Context) error {
		if old == nil {
			return remove(path)
		}
		return old.write()
	})
	if f == nil {
		return remove(path)
	}
	return f.write()
}

// makeDirectories makes dir and what is missing above it.
func (u *undo) makeDirectories(dir string, mode fs.FileMode) error {
	made, err := makeDirectories(dir, mode)
	for _, dir := range made {
		u.add("remove "+dir, func(context.Context) error { removeIfEmpty(dir); return nil })
	}
	return err
}

// undoTime bounds taking back, in which a service may have to drain.
const undoTime = 5 * time.Minute

// run takes back everything for err, also after ctx has ended. What it returns is
// err, and whether all is as before.
func (u *undo) run(ctx context.Context, err error) error {
	if len(u.steps) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var left []error
	for _, step := range slices.Backward(u.steps) {
		if failed := step.do(ctx); failed != nil {
			left = append(left, fmt.Errorf("%s: %w", step.what, failed))
		}
	}
	u.steps = nil
	if len(left) > 0 {
		return fmt.Errorf("%w; not all could be taken back: %w", err, errors.Join(left...))
	}
	return fmt.Errorf("%w; all was taken back", err)
}
