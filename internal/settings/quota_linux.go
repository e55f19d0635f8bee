//go:build !portable

package settings

// Linux limits a cgroup's CPU time: v2 in cpu.max, v1 in two files of the cpu
// controller. The limit may be on any group above ours too.

import (
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

func cpuQuota() (processors int, limited bool) { return quotaIn(os.DirFS("/")) }

// quotaIn finds the smallest quota in root, the file system of the machine. A
// file that is not there or not as expected limits nothing: a wrong number of
// workers is better than none.
func quotaIn(root fs.FS) (processors int, limited bool) {
	least := math.Inf(1)
	mounts := readText(root, "proc/self/mountinfo")
	for line := range strings.Lines(readText(root, "proc/self/cgroup")) {
		// "0::/path" for v2, "5:cpu,cpuacct:/path" for v1
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		read, kind := quotaV2, "cgroup2"
		if part[1] != "" {
			read, kind = quotaV1, "cgroup"
		}
		mount, below, ok := cgroupMount(mounts, kind, part[1], part[2])
		if !ok {
			continue
		}
		for {
			least = min(least, read(root, path.Join(mount, below)))
			if below == "." || below == "/" {
				break
			}
			below = path.Dir(below)
		}
	}
	if math.IsInf(least, 1) {
		return 0, false
	}
	return max(1, int(math.Ceil(least))), true
}

// cgroupMount returns where the hierarchy with the cpu controller is mounted,
// and the group's path below it. In a container the mount's root is itself a
// group, and the group's path starts with it.
func cgroupMount(mounts, kind, controllers, group string) (mount, below string, ok bool) {
	if kind == "cgroup" && !hasWord(controllers, "cpu") {
		return "", "", false
	}
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		at, about := strings.Fields(before), strings.Fields(after)
		if len(at) < 5 || len(about) < 3 || about[0] != kind {
			continue
		}
		if kind == "cgroup" && !hasWord(about[2], "cpu") {
			continue
		}
		below, inside := strings.CutPrefix(group, strings.TrimSuffix(at[3], "/"))
		if !inside {
			below = "/"
		}
		return strings.TrimPrefix(at[4], "/"), path.Join("/", below), true
	}
	return "", "", false
}

func hasWord(list, word string) bool {
	return strings.Contains(","+list+",", ","+word+",")
}

// quotaV2 reads cpu.max: "max 100000" or "150000 100000".
func quotaV2(root fs.FS, group string) float64 {
	quota, period, _ := strings.Cut(readText(root, path.Join(group, "cpu.max")), " ")
	return ratio(quota, period)
}

// quotaV1 reads the quota, -1 for none, and its period.
func quotaV1(root fs.FS, group string) float64 {
	return ratio(readText(root, path.Join(group, "cpu.cfs_quota_us")), readText(root, path.Join(group, "cpu.cfs_period_us")))
}

func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(strings.TrimSpace(quota), 64)
	p, err2 := strconv.ParseFloat(strings.TrimSpace(period), 64)
	if err != nil || err2 != nil || !(q > 0) || !(p > 0) {
		return math.Inf(1)
	}
	return q / p
}

func readText(root fs.FS, name string) string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(text)
}
