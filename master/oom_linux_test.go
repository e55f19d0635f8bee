//go:build !portable

package master

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A step of a service with one counter: workers start, the kernel's count becomes
// another, and workers that were killed are found, in this order.
type oomStep struct {
	starts []string
	count  string            // the file's text; "" leaves it, "gone" removes it
	found  map[string]string // worker to what its reason ends with
}

func TestEachKillOfTheKernelExplainsOneDeath(t *testing.T) {
	const none = "was killed by SIGKILL"
	const former = 2 // were counted before the master started
	told := func(n int) string { return fmt.Sprintf(none+": out of memory (oom_kill rose to %d in FILE)", former+n) }
	count := func(n int) string { return fmt.Sprintf("oom_kill_disable 0\noom_kill %d\n", former+n) }
	for name, steps := range map[string][]oomStep{
		"the count does not rise":                   {{[]string{"a"}, "", map[string]string{"a": none}}},
		"the count rises":                           {{[]string{"a"}, count(1), map[string]string{"a": told(1)}}},
		"it was not 0 before":                       {{nil, count(4), nil}, {[]string{"a"}, count(5), map[string]string{"a": told(5)}}},
		"it rose before the worker was started":     {{nil, count(1), nil}, {[]string{"a"}, "", map[string]string{"a": none}}},
		"it rises by more than the workers":         {{[]string{"a"}, count(3), map[string]string{"a": told(3)}}},
		"one of two is killed by another":           {{[]string{"a", "b"}, count(1), map[string]string{"a": told(1)}}, {nil, "", map[string]string{"b": none}}},
		"both are killed":                           {{[]string{"a", "b"}, count(2), map[string]string{"a": told(2)}}, {nil, "", map[string]string{"b": told(2)}}},
		"both, and one is replaced before":          {{[]string{"a", "b"}, count(2), map[string]string{"a": told(2)}}, {[]string{"c"}, "", map[string]string{"b": told(2)}}, {nil, "", map[string]string{"c": none}}},
		"one after the other":                       {{[]string{"a"}, count(1), map[string]string{"a": told(1)}}, {[]string{"b"}, count(2), map[string]string{"b": told(2)}}},
		"one, and its successor by another":         {{[]string{"a"}, count(1), map[string]string{"a": told(1)}}, {[]string{"b"}, "", map[string]string{"b": none}}},
		"the successor started before it was found": {{[]string{"a", "b"}, count(1), nil}, {[]string{"c"}, "", map[string]string{"a": told(1)}}, {nil, "", map[string]string{"c": none}}},
		"a worker that was there before the master": {{nil, "", map[string]string{"a": none}}, {nil, count(1), map[string]string{"b": told(1)}}},
		"the file goes away":                        {{[]string{"a"}, "gone", map[string]string{"a": none}}},
		"the file comes back":                       {{nil, "gone", nil}, {[]string{"a"}, count(1), map[string]string{"a": none}}},
		"the file is not as expected":               {{[]string{"a"}, "oom_kill x\n", map[string]string{"a": none}}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "memory.oom_control")
			write := func(text string) {
				var err error
				switch text {
				case "":
				case "gone":
					err = os.Remove(file)
				default:
					err = os.WriteFile(file, []byte(text), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			write(count(0))
			o, before := newOOMWatch(file), map[string]int{}
			for _, step := range steps {
				for _, worker := range step.starts {
					before[worker] = o.untold()
				}
				write(step.count)
				for worker, want := range step.found {
					e := exit{reason: none}
					o.explain(&e, before[worker])
					if got := strings.ReplaceAll(e.reason, file, "FILE"); got != want {
						t.Errorf("worker %s %q, want %q", worker, got, want)
					}
				}
			}
		})
	}
}
