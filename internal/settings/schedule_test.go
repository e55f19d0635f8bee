package settings

import (
	"strings"
	"testing"
)

func TestAScheduleSharesTheListenersItNames(t *testing.T) {
	for _, row := range []struct {
		schedule Schedule
		name     string
		want     bool
	}{
		{"rr", "http", false},
		{"none", "http", true},
		{"none", "", true},
		{"admin=none", "admin", true},
		{"admin=none", "http", false},
		{"admin=none", "", false},
		{"none,admin=rr", "admin", false},
		{"admin=rr,none", "admin", false},
		{"none,admin=rr", "http", true},
		{"", "http", false},
	} {
		if got := row.schedule.Shares(row.name); got != row.want {
			t.Errorf("Schedule(%q).Shares(%q) = %v, want %v", row.schedule, row.name, got, row.want)
		}
	}
}

func TestAScheduleThatIsNoneIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                      `"" is not "rr" or "none"`,
		"random":                `"random" is not "rr" or "none", nor NAME=none`,
		"admin=sticky":          `"admin=sticky" is not "rr" or "none"`,
		"=none":                 `"=none": the name before "=" is empty`,
		"none,rr":               `"rr": there is another rule for the same`,
		"admin=none,admin=none": `"admin=none": there is another rule for the same`,
		"none,admin=none,":      `"" is not "rr" or "none"`,
		"none,admin=none, x=rr": `" x=rr": the name before "=" has " "`,
	} {
		_, err := Settings{Command: []string{"app"}, Schedule: Schedule(text)}.Resolve()
		if text == "" { // which is the default
			if err != nil {
				t.Errorf("Resolve without a schedule: %v", err)
			}
			err = (*scheduleField)(new(Schedule)).check()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a schedule of %q: %v, want an error with %s", text, err, want)
		}
	}
}
