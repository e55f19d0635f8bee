package side

import (
	"context"
	"path/filepath"
	"strconv"
)

// Cluster is the Node app under Node's own cluster, with its scheduling "rr" (the
// default) or "none".
func Cluster(workers int, scheduling string) Side {
	return Side{
		Name: "node-cluster-" + scheduling, Title: "Node's cluster, " + scheduling,
		Start: func(ctx context.Context, h *Host) (*Running, error) {
			return h.start(func(r *Running) error {
				p, err := r.alone(ctx, []string{"node", filepath.Join(h.Apps, "cluster.js")},
					"BENCH_WORKERS="+strconv.Itoa(workers), "NODE_CLUSTER_SCHED_POLICY="+scheduling)
				if err == nil {
					r.Master = p.pid
				}
				return err
			})
		},
	}
}
