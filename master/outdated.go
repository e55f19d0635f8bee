package master

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
)

// changing are the variables that differ from one start by systemd to the next, besides
// those that no worker gets.
var changing = []string{"INVOCATION_ID", "SYSTEMD_EXEC_PID", "MANAGERPID", "MANAGERPIDFDID", "MAINPID", "MAINPIDFDID"}

// environmentHash is of what env has for workers, in any order.
func environmentHash(env []string) string {
	h := sha256.New()
	for _, kv := range slices.Sorted(slices.Values(env)) {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(ours, name) && !slices.Contains(changing, name) {
			io.WriteString(h, kv+"\x00")
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// tellOutdated warns of workers that were adopted after a crash, and have not what a
// start would give them now. A crash is no reason to replace them, so nothing does.
func (l *loop) tellOutdated() {
	t := l.t
	if t.planned || t.anew || t.handed || t.reload != nil {
		return
	}
	var old []string
	if !sameSettings(l.m.now, *t.cfg) {
		old = append(old, "settings")
	}
	if t.env != "" && t.env != t.ownEnv {
		old = append(old, "environment")
	}
	if len(old) > 0 {
		l.m.log.Warn("the workers that are adopted have not what there is now; a reload gives it to them",
			"old", strings.Join(old, " and "), "command", "rondo reload "+t.cfg.Name)
	}
}

// sameSettings compares them as they are used, also where another version kept them.
func sameSettings(a, b settings.Settings) bool {
	a, err1 := a.Resolve()
	b, err2 := b.Resolve()
	return err1 == nil && err2 == nil && bytes.Equal(encode(a), encode(b))
}
