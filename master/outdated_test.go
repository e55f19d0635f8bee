package master

import "testing"

func TestAnAdoptionSaysWhatWorkersHaveNot(t *testing.T) {
	const said = "the workers that are adopted have not what there is now"
	for _, row := range []struct {
		name    string
		workers int
		env     []string
		handed  bool
		want    string
	}{
		{name: "nothing changed", workers: 2, env: []string{"B=2", "A=1", "INVOCATION_ID=x", "LISTEN_FDS=9"}},
		{name: "other settings", workers: 5, env: []string{"A=1", "B=2"}, want: `old=settings `},
		{name: "another environment", workers: 2, env: []string{"A=1", "B=3"}, want: `old=environment `},
		{name: "both", workers: 5, env: []string{"A=1"}, want: `old="settings and environment"`},
		{name: "both, in an upgrade", workers: 5, env: []string{"A=1"}, handed: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := leaves(t, func(s *stage, _ *listener) {
				s.t.env = environmentHash([]string{"A=1", "B=2"})
				s.turn(event{kind: evTick})
				if row.handed {
					s.turn(event{kind: evLeave})
				}
			})
			cfg := x.config()
			cfg.Workers, cfg.Env = row.workers, row.env
			l, err := x.recalls(cfg)
			if err != nil || !l.adopted {
				t.Fatalf("adopted %v, %v", l != nil && l.adopted, err)
			}
			if row.want == "" {
				x.expectSaid(said, 0)
				return
			}
			x.expectSaid(said, 1)
			x.expectSaid(row.want, 1)
		})
	}
}
