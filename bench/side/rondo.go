package side

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
)

// Rondo is an app under rondo.
type Rondo struct {
	App     App
	Workers int
	Sockets int    // 0 means 1
	Policy  Policy // of the master; AsIs is what rondo makes it
	Unit    Policy // what the unit gives with CPUSchedulingPolicy, and workers have
}

// rondoRunning is what is known of a rondo that runs.
type rondoRunning struct {
	control *http.Client
	program string
	runtime string // XDG_RUNTIME_DIR
}

// Side is the side. Its sockets are passed, and the service manager is told and keeps
// descriptors, as under systemd.
func (o Rondo) Side() Side {
	name, title := fmt.Sprintf("%s-rondo-%d", o.App.Name, o.Workers), fmt.Sprintf("%s under rondo, %d workers", o.App.Title, o.Workers)
	if o.Workers == 1 {
		title = o.App.Title + " under rondo, 1 worker"
	}
	if o.Sockets > 1 {
		name, title = fmt.Sprintf("%s-sockets-%d", name, o.Sockets), fmt.Sprintf("%s, %d sockets", title, o.Sockets)
	}
	if o.Policy != AsIs {
		name, title = name+"-"+strings.ToLower(string(o.Policy[len("SCHED_"):])), title+", master "+string(o.Policy)
	}
	if o.Unit == Batch {
		name, title = name+"-unit-batch", title+", CPUSchedulingPolicy=batch"
	}
	return Side{Name: name, Title: title, Start: func(ctx context.Context, h *Host) (*Running, error) {
		return h.start(func(r *Running) error { return r.startRondo(ctx, h, o) })
	}}
}

func (r *Running) startRondo(ctx context.Context, h *Host, o Rondo) error {
	addresses, files, err := sockets(max(1, o.Sockets))
	defer closeAll(files)
	if err != nil {
		return err
	}
	r.Addresses = addresses
	ready, err := r.notified()
	if err != nil {
		return err
	}
	args := []string{h.Rondo, "run", "--name", "app", "--workers", strconv.Itoa(o.Workers), "--"}
	if o.Unit == Batch {
		args = append([]string{"chrt", "--batch", "0"}, args...)
	}
	p, err := r.launch(command{
		args: passed(append(args, o.App.args(h)...)...),
		env: environ("XDG_RUNTIME_DIR="+r.dir, "NOTIFY_SOCKET="+ready.path, "FDSTORE=4096",
			"LISTEN_FDS="+strconv.Itoa(len(files)), "BENCH_LISTEN="+strings.Join(addresses, ",")),
		files: files,
	})
	if err != nil {
		return err
	}
	r.Master = p.pid
	r.rondo = newRondoRunning(h.Rondo, r.dir)
	if err := r.wait(ctx, p, ready); err != nil {
		return err
	}
	return o.Policy.set(p.pid)
}

func newRondoRunning(program, runtime string) *rondoRunning {
	path := filepath.Join(runtime, "rondo/app/control.sock")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &rondoRunning{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}, program, runtime}
}

// HandedOver asks the master how many connections it has handed over.
func (r *Running) HandedOver(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rondo/v1/status", nil)
	if err != nil {
		return 0, err
	}
	answer, err := r.rondo.control.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var status struct {
		Counters struct {
			HandedOver int `json:"handed_over"`
		} `json:"counters"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		return 0, fmt.Errorf("status: %w", err)
	}
	return status.Counters.HandedOver, nil
}

// Reload replaces the workers as an operator would, and returns when that is done.
func (r *Running) Reload(ctx context.Context) error {
	if r.pm2 != nil {
		return r.pm2(ctx, "reload", "app")
	}
	_, err := run(ctx, command{
		args: []string{r.rondo.program, "reload", "app"},
		env:  environ("XDG_RUNTIME_DIR=" + r.rondo.runtime), dir: r.dir,
	})
	return err
}
