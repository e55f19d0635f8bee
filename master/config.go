package master

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
)

// Config says what a Master runs and how. It is copied by New; Reload obtains
// the next one from Next.
type Config struct {
	// Settings are the operator's: command, workers, listeners, time-outs. A
	// zero field gets the default that settings documents.
	settings.Settings

	// Sockets are the listening sockets that the init system passed. The Master
	// takes them: it closes them when Run returns, and never before. With none,
	// the Master binds what Settings.Listen and the workers ask for.
	Sockets []activation.Socket

	// Env is the environment of the workers, as os.Environ gives it; nil means
	// the process's own. What the channel and the init system own is replaced
	// or removed for each worker.
	Env []string

	// Stdout and Stderr take the workers' output, each line prefixed with the
	// worker's slot. nil means os.Stdout and os.Stderr. They are written from
	// several goroutines, a whole line a call, one call at a time.
	Stdout, Stderr io.Writer

	// Journal, when set, is the path of journald's stream socket. Each worker's
	// output then goes to a journal stream of its own, and Stdout and Stderr
	// are not used.
	Journal string

	// Store, when set, keeps what the next master needs to take the workers over. A
	// worker gets no connection before its own descriptors are kept.
	Store Store

	// Stored are descriptors that a Store kept for this master, or that Handover gave,
	// by their names. Run takes them.
	Stored map[string]int

	// Begun is of the same Handover.
	Begun map[string][]byte

	// MustAdopt has Run fail, and leave the workers alone, where the state in Stored
	// cannot be used, or a listener cannot be opened. Else it starts anew, and has them
	// finish what they hold; or serves with the listeners that there are.
	MustAdopt bool

	// Sweep, when set, ends what the last master has left behind, which is all but the
	// processes of keep and what belongs to them. lost are pids that the last master
	// had started workers with, and that are not taken over. It is called on the
	// goroutine of Run, once, before anything is started.
	Sweep func(keep, lost []int)

	// Next reads the configuration again for a reload. nil means the same one.
	// It is called on a goroutine of its own.
	Next func(context.Context) (settings.Settings, error)

	// Notify is told, on the goroutine of Run, when the state that a service
	// manager shows has changed. nil means nobody is told. It must not block.
	Notify func(Event)

	// Message, when set, takes what the programs of workers say (process.send), on the
	// goroutine of Run. It must not block. A message that came while a master was
	// killed may come twice.
	Message func(Message)

	// Watchdog is how often Notify gets an Event with Alive set, from the loop
	// that accepts connections and from nowhere else. 0 means never.
	Watchdog time.Duration

	// Logger takes the log. nil discards it.
	Logger *slog.Logger
}

// An Event is one change of what the service manager shows.
type Event struct {
	Ready     bool          // every slot had a ready worker for the first time
	Reloading bool          // a reload began; an Event with Ready or Status ends it
	Reloaded  bool          // the reload ended, well or not
	Stopping  bool          // the Master drains and will exit
	Alive     bool          // the loop turned; sent each Config.Watchdog
	Extend    time.Duration // more time is needed for the current change of state
	Status    string        // one line for people; empty means unchanged
}
