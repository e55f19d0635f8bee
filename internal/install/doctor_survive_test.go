package install

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

func TestDoctorKnowsWhatKeepsWorkersFromOutlivingTheirMaster(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	small, other := filepath.Join(b.dir, "small.conf"), filepath.Join(b.dir, "other.conf")
	b.write(small, "[Service]\nFileDescriptorStoreMax=3\n", 0o644)
	b.write(other, "[Service]\n# FileDescriptorStoreMax=3\n", 0o644)
	refused := "the state of the last master is refused: damaged"
	ready := []workerStatus{{State: "ready"}, {State: "ready"}, {State: "starting"}}
	for _, row := range []struct {
		what string
		unit systemd.Unit
		s    status
		want string
	}{
		{"enough", systemd.Unit{StoreMax: 37, Stored: 7}, status{Workers: ready}, ""},
		{"settings not read", systemd.Unit{StoreMax: 3, Stored: 3, NeedsReload: true}, status{}, ""},
		{"too small", systemd.Unit{StoreMax: 36, DropIns: []string{other}}, status{Workers: ready},
			"app.service may keep 36 descriptors, and needs 37 for its workers to outlive a master that is killed: FileDescriptorStoreMax=37 -> sudo rondo install --refresh app"},
		{"too small by a drop-in", systemd.Unit{StoreMax: 3, DropIns: []string{small, other}}, status{Workers: ready},
			"app.service may keep 3 descriptors, by SMALL, and needs 37 for its workers to outlive a master that is killed: FileDescriptorStoreMax=37 -> " +
				"sudoedit SMALL && sudo systemctl daemon-reload && sudo systemctl restart app.service"},
		{"not kept", systemd.Unit{StoreMax: 37, Stored: 6}, status{Workers: ready},
			"the manager keeps 6 descriptors of app.service, which has 7 of its workers alone: those that are not kept end with the master when it is killed -> sudo systemctl restart app.service"},
		{"refused", systemd.Unit{StoreMax: 37, Stored: 7}, status{Workers: ready, Refused: &refused},
			"app.service could not take over all that the last master left: the state of the last master is refused: damaged -> sudo journalctl -n 50 -u app.service"},
	} {
		e := &examination{Machine: b.Machine, name: "app", need: 37}
		row.unit.Name, row.unit.Fragment = "app.service", b.Paths.unit("app.service")
		e.store(row.unit)
		e.survival(row.unit, row.s)
		var lines []string
		for _, f := range e.found {
			lines = append(lines, f.What+" -> "+f.Mend)
		}
		if got, want := strings.Join(lines, "\n"), strings.ReplaceAll(row.want, "SMALL", small); got != want {
			t.Errorf("%s: doctor says\n%s\nwant\n%s", row.what, got, want)
		}
	}
}
