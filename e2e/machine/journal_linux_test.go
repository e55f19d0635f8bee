package machine

import "testing"

func TestJournalEntriesAreParsedInEveryForm(t *testing.T) {
	for line, want := range map[string]string{
		`{"MESSAGE":"plain","PRIORITY":"3","SYSLOG_IDENTIFIER":"a"}`:                   "<3> a: plain",
		`{"MESSAGE":[98,121,255],"SYSLOG_IDENTIFIER":"a"}`:                             "<6> a: by\xff",
		`{"MESSAGE":["one","two"],"SYSLOG_IDENTIFIER":[[97,98],"x"]}`:                  "<6> ab: one",
		`{"MESSAGE":null,"PRIORITY":"4","SYSLOG_IDENTIFIER":"a","_PID":["1","2"]}`:     "<4> a: ",
		`{"MESSAGE":[],"_SYSTEMD_UNIT":"init.scope","UNIT":"b.service","PRIORITY":""}`: "<6> : ",
	} {
		if e, err := parseEntry(line); err != nil || e.String() != want {
			t.Errorf("parseEntry(%s) = %v, %v, want %s", line, e, err, want)
		}
	}
	for _, line := range []string{"", "-- No entries --", `{"MESSAGE":{"a":1}}`, `{"MESSAGE":12}`} {
		if e, err := parseEntry(line); err == nil {
			t.Errorf("parseEntry(%q) = %v, want an error", line, e)
		}
	}
	if e, _ := parseEntry(`{"_SYSTEMD_UNIT":"init.scope","UNIT":"b.service"}`); e.Unit != "b.service" {
		t.Errorf("Unit = %q, want the one that is written about", e.Unit)
	}
}
