package systemd

import (
	"context"
	"fmt"
	"strings"
)

// Reload has the manager read all unit files again. It returns when that is done.
func (m *Manager) Reload(ctx context.Context) error {
	if err := m.conn.ReloadContext(ctx); err != nil {
		return m.explain(ctx, "daemon-reload", err)
	}
	return nil
}

// Enable makes units start at boot, or whenever their [Install] says, with those
// that their Also= names. It does not reload, as systemctl enable would.
func (m *Manager) Enable(ctx context.Context, units ...string) error {
	if _, _, err := m.conn.EnableUnitFilesContext(ctx, units, false, false); err != nil {
		return m.explain(ctx, "enable "+strings.Join(units, " "), err)
	}
	return nil
}

// Disable undoes Enable. A unit that is not there, or not enabled, is no error.
func (m *Manager) Disable(ctx context.Context, units ...string) error {
	_, err := m.conn.DisableUnitFilesContext(ctx, units, false)
	if err != nil && !isError(err, noSuchUnit) {
		return m.explain(ctx, "disable "+strings.Join(units, " "), err)
	}
	return nil
}

const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit"

// ResetFailed forgets that a unit failed. One that is not loaded has nothing to forget.
func (m *Manager) ResetFailed(ctx context.Context, unit string) error {
	err := m.conn.ResetFailedUnitContext(ctx, unit)
	if err != nil && !isError(err, noSuchUnit) {
		return m.explain(ctx, "reset-failed "+unit, err)
	}
	return nil
}

// Start starts a unit and returns when the job has ended, however long that takes.
// If ctx ends first the job goes on.
func (m *Manager) Start(ctx context.Context, unit string) error {
	return m.job(ctx, "start", unit, m.conn.StartUnitContext)
}

// Stop is as Start. A unit that is not there is stopped.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	err := m.job(ctx, "stop", unit, m.conn.StopUnitContext)
	if isError(err, noSuchUnit) {
		return nil
	}
	return err
}

// JobError is of a job that did not end well.
type JobError struct {
	Verb   string // start or stop
	Unit   string
	Result string // failed, timeout, dependency, canceled, ...
	scope  Scope
}

func (e *JobError) Error() string {
	return fmt.Sprintf("%s %s: the job ended with %q: see %s", e.Verb, e.Unit, e.Result, e.scope.Systemctl("status", e.Unit))
}

type jobFunc func(ctx context.Context, name, mode string, ch chan<- string) (int, error)

func (m *Manager) job(ctx context.Context, verb, unit string, begin jobFunc) error {
	result := make(chan string, 1) // go-systemd holds its lock while it sends
	if _, err := begin(ctx, unit, "replace", result); err != nil {
		return m.explain(ctx, verb+" "+unit, err)
	}
	select {
	case how := <-result:
		if how != "done" {
			return &JobError{verb, unit, how, m.scope}
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", verb, unit, context.Cause(ctx))
	}
}

// Jobs says what the manager is about to do, by unit: start, stop, restart, reload and
// so on. What try-restart, reload-or-restart and the restart of a unit that it requires
// ask for is a restart too.
func (m *Manager) Jobs(ctx context.Context) (map[string]string, error) {
	list, err := m.conn.ListJobsContext(ctx) // one answer, where Unit.Job and Job.JobType are two that may not fit
	if err != nil {
		return nil, m.explain(ctx, "list the jobs", err)
	}
	jobs := make(map[string]string)
	for _, j := range list {
		if j.JobType != "nop" {
			jobs[j.Unit] = j.JobType
		}
	}
	return jobs, nil
}
