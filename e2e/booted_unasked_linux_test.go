//go:build linux && !portable

package e2e

import (
	"strings"
	"testing"
)

// endsWell is a program that says that it can take over, and then ends well once for
// each file in /run/rondo/app/ends.
const endsWell = `#!/bin/sh
if [ "$1" = run ]; then
	for end in /run/rondo/app/ends/*; do
		rm "$end" && exit 0
	done
fi
exec /usr/local/lib/rondo "$@"
`

func TestAProgramThatEndsWellEndsNoWorker(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectFound()
		h.Expect("ended unasked")
		h.Expect("service starts in vain")
		h.Copy(rondo(t), "/usr/local/lib/rondo")
		s := h.survive()
		s.putScript(endsWell)
		s.Must("sh", "-c", "install -d -m 777 /run/rondo/app/ends && touch /run/rondo/app/ends/1")
		before := s.upgraded()
		out, err := s.Run("/usr/local/lib/rondo", "upgrade", "app")
		if err != nil || !strings.Contains(out, "but the process of the master ended in the upgrade, and process ") {
			t.Errorf("rondo upgrade = %q, %v", out, err)
		}
		if now := s.upgraded(); now.PID == before.PID || now.Adopted != before.Adopted+1 {
			t.Errorf("the master is %+v, before %+v", now.Status, before.Status)
		}
		s.same("after a program that ended well")
		s.put(rondo(t))
		s.end("an upgrade to a program that ends well")

		// A master that has ended the service has ended it.
		if out, err := s.rondo("stop", "app"); err != nil {
			t.Errorf("rondo stop = %q, %v", out, err)
		}
		s.Await("app.service", func(p map[string]string) bool { return p["ActiveState"] == "inactive" && p["SubState"] == "dead" }, "ActiveState", "SubState")
	})
}
