package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/cgroup"
	"github.com/rondokit/rondo/internal/fault"
	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
	"github.com/rondokit/rondo/units"
)

func newRun() *cobra.Command {
	src := settings.Sources{Flags: make(map[string][]string)}
	check := false
	cmd := &cobra.Command{
		Use:     "run [flags] -- COMMAND [ARG...]",
		Short:   "Run COMMAND as workers",
		Example: "rondo run --listen 80=3000 -- node server.js",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && src.File == "" {
				return usageError{errors.New("run: no command: say what to run, as in: rondo run -- node server.js")}
			}
			src.Command, src.Env = args, os.Environ()
			if check {
				return checkRun(cmd, src)
			}
			return run(cmd.Context(), src)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false) // what follows COMMAND is COMMAND's
	flags.StringVar(&src.File, "config", "", "`FILE` with settings, NAME.toml")
	flags.BoolVar(&check, "check", false, "only say whether the settings are right and fit the passed sockets")
	addSettings(flags, src.Flags)
	nameVariables(flags)
	return cmd
}

// run is the service: it returns when the master has ended.
func run(ctx context.Context, src settings.Sources) (err error) {
	name := strings.TrimSuffix(filepath.Base(src.File), ".toml") // until the settings tell
	defer func() { err = of(name, err) }()
	began := time.Now()
	stray := strayListenFDs()
	got, err := takePassedOn()
	if err != nil {
		return err
	}
	sigs := takeSignals(got.signals())
	defer sigs.stop()
	var notifier *notify.Notifier
	serving := false
	defer func() {
		if !serving && got.canGoBack() {
			if r := recover(); r != nil {
				os.Stderr.Write(debug.Stack())
				err = fmt.Errorf("panic: %v", r)
			}
		}
		if err != nil && !serving {
			err = got.goBack(err, append(os.Environ(), notifier.Environ()...), sigs)
			failSlowly(ctx, began)
		}
	}()
	fault.At("after exec")
	sockets, stored, err := takeDescriptors(got) // before anything opens a descriptor
	if err != nil {
		return err
	}
	// What else this process was given is not for the workers.
	if err := sys.CloseOnExecFrom(3); err != nil {
		return fmt.Errorf("close-on-exec: %w", err)
	}
	up, err := got.upgrading()
	if err != nil {
		return err
	}
	defer up.self.Close()
	if notifier, err = notify.New(); err != nil { // before anything starts a process
		return err
	}
	defer notifier.Close()
	s, loadErr := src.Load()
	if loadErr != nil {
		last, _, ok := master.LastSettings(stored)
		if !ok {
			return loadErr
		}
		s = last
	}
	name, src.DefaultName = s.Name, s.Name
	if got == nil {
		named, err := activation.TakeNamed(socketNames(s)...)
		if err != nil {
			return err
		}
		sockets = append(sockets, named...)
	}
	logger, journal, log := newLogger(s.Name)
	defer log.flush()
	if loadErr != nil {
		logger.Error("the settings cannot be read: those that were served with last are used", "err", loadErr)
	}
	if stray != "" {
		logger.Warn("sockets were passed to another process and are not used: let systemd start rondo itself, without a wrapper", "listen_pid", stray)
	}
	var begun map[string][]byte
	if got != nil {
		begun = got.Begun
	}
	cfg := master.Config{
		Settings: s, Sockets: sockets, Stored: stored, Begun: begun, MustAdopt: got.canGoBack(), Journal: journal, Logger: logger,
		Next: func(context.Context) (settings.Settings, error) { return src.Load() },
		Notify: func(e master.Event) {
			if e.Ready && !serving {
				serving = true
				got.served(logger)
			}
		},
	}
	if got == nil {
		cfg.Sweep = sweeper(logger)
	}
	up.last, up.about = got.outcome(logger), log.written
	return host(ctx, cfg, notifier, up, sigs)
}

// startEvery is how often systemd may start a master that does not get to serve. It
// starts one that was killed far sooner.
const startEvery = 2 * time.Second

// failSlowly waits until the service may be started again, where systemd would do so
// at once; less when it is told to stop.
func failSlowly(ctx context.Context, began time.Time) {
	if cgroup.Unit() == "" {
		return
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	wait(ctx, time.Until(began.Add(startEvery)))
}

// takeDescriptors gives the sockets that were passed, and what the last master left.
func takeDescriptors(got *passedOn) ([]activation.Socket, map[string]int, error) {
	if got != nil {
		sockets, err := got.sockets()
		if err != nil {
			return nil, nil, err
		}
		if !got.canGoBack() {
			return sockets, got.stored(), nil
		}
		stored, err := got.copies()
		if err != nil {
			closeAll(sockets)
			return nil, nil, err
		}
		return sockets, stored, nil
	}
	sockets, files, err := activation.TakeWithStored(master.IsStored)
	if err != nil {
		return nil, nil, err
	}
	stored := map[string]int{}
	for _, f := range files {
		fd, err := sys.DupFile(f)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		f.Close()
		stored[f.Name()] = fd
	}
	return sockets, stored, nil
}

// socketNames are the names that launchd may have sockets under. systemd is not asked for
// names: it passes all that there are.
func socketNames(s settings.Settings) []string {
	names := []string{units.SocketName}
	for _, l := range s.Listen {
		name := l.Name
		if l.Kind == settings.KindFD {
			name = l.FD
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// strayListenFDs is the process that the service manager passed sockets to, when it
// is another one; a wrapper that started this one has kept them.
func strayListenFDs() string {
	pid := os.Getenv("LISTEN_PID")
	if pid == "" || os.Getenv("LISTEN_FDS") == "" || pid == strconv.Itoa(os.Getpid()) {
		return ""
	}
	return pid
}

// checkRun says whether run would start, without opening a socket.
func checkRun(cmd *cobra.Command, src settings.Sources) error {
	sockets, err := activation.Take()
	if err != nil {
		return err
	}
	s, err := src.Load()
	if err != nil {
		return err
	}
	named, err := activation.TakeNamed(socketNames(s)...)
	if err != nil {
		return err
	}
	sockets = append(sockets, named...)
	if err := master.Check(master.Config{Settings: s, Sockets: sockets}); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %d x %s%s\n", s.Name, s.Workers, strings.Join(s.Command, " "), listens(s, sockets))
	return nil
}

// listens is what the master would listen on before any worker asks.
func listens(s settings.Settings, sockets []activation.Socket) string {
	var texts []string
	for _, l := range s.Listen {
		texts = append(texts, l.String())
	}
	for _, l := range sockets {
		texts = append(texts, fmt.Sprintf("passed %s %s", l.Name, l.Addr))
	}
	if len(texts) == 0 {
		return ""
	}
	return " on " + strings.Join(texts, ", ")
}
