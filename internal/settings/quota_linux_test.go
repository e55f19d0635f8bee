//go:build !portable

package settings

import (
	"testing"
	"testing/fstest"
)

func TestQuotaIsTheSmallestOnTheWayUpRoundedUp(t *testing.T) {
	const (
		v2     = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
		v2pod  = "30 23 0:26 /pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
		v1     = "31 23 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n32 23 0:28 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		nested = "0::/a.slice/b.service\n"
	)
	for name, row := range map[string]struct {
		mounts, groups string
		files          map[string]string
		want           int
		limited        bool
	}{
		"nothing there":     {},
		"v2 no limit":       {v2, nested, map[string]string{"sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000\n"}, 0, false},
		"v2 rounded up":     {v2, nested, map[string]string{"sys/fs/cgroup/a.slice/b.service/cpu.max": "150000 100000\n"}, 2, true},
		"v2 at least one":   {v2, nested, map[string]string{"sys/fs/cgroup/a.slice/b.service/cpu.max": "1000 100000\n"}, 1, true},
		"v2 exactly one":    {v2, nested, map[string]string{"sys/fs/cgroup/a.slice/b.service/cpu.max": "100000 100000\n"}, 1, true},
		"v2 above":          {v2, nested, map[string]string{"sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000\n", "sys/fs/cgroup/a.slice/cpu.max": "300000 100000\n"}, 3, true},
		"v2 in a container": {v2pod, "0::/pod/x\n", map[string]string{"sys/fs/cgroup/x/cpu.max": "200000 100000\n"}, 2, true},
		"v2 own namespace":  {v2, "0::/\n", map[string]string{"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, true},
		"v2 garbage":        {v2, nested, map[string]string{"sys/fs/cgroup/a.slice/cpu.max": "x\x00y"}, 0, false},
		"v1":                {v1, "5:cpu,cpuacct:/g\n4:memory:/g\n", map[string]string{"cg/cpu,cpuacct/g/cpu.cfs_quota_us": "250000\n", "cg/cpu,cpuacct/g/cpu.cfs_period_us": "100000\n"}, 3, true},
		"v1 no limit":       {v1, "5:cpu,cpuacct:/g\n", map[string]string{"cg/cpu,cpuacct/g/cpu.cfs_quota_us": "-1\n", "cg/cpu,cpuacct/g/cpu.cfs_period_us": "100000\n"}, 0, false},
		"v1 only memory":    {v1, "4:memory:/g\n", nil, 0, false},
	} {
		root := fstest.MapFS{
			"proc/self/mountinfo": {Data: []byte(row.mounts)},
			"proc/self/cgroup":    {Data: []byte(row.groups)},
		}
		for path, text := range row.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, limited := quotaIn(root); got != row.want || limited != row.limited {
			t.Errorf("%s: quotaIn = %d, %t, want %d, %t", name, got, limited, row.want, row.limited)
		}
	}
}
