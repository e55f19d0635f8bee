package worker

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

// environment is what the process that started us left in our environment.
type environment struct {
	fd                   int // of the channel; -1 without a master
	id, slot, generation int
	rondo                bool // the master is rondo
}

// standalone is the environment of a process without a master.
var standalone = environment{fd: -1}

// takeEnvironment reads the variables of the channel and removes them, so that no
// child process takes the channel for its own.
//
// A channel without an id is left alone, variables and all: that is what
// child_process.fork and pm2's fork mode give, and no cluster's channel.
func takeEnvironment() (environment, error) {
	id, ok := os.LookupEnv("NODE_UNIQUE_ID")
	if !ok {
		return standalone, nil
	}
	fd, mode := os.Getenv("NODE_CHANNEL_FD"), os.Getenv("NODE_CHANNEL_SERIALIZATION_MODE")
	for _, name := range []string{"NODE_UNIQUE_ID", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"} {
		os.Unsetenv(name)
	}
	env := environment{slot: -1, generation: -1}
	var err error
	if env.id, err = strconv.Atoi(id); err != nil || env.id < 0 {
		return env, fmt.Errorf("worker: NODE_UNIQUE_ID=%q is not the id of a worker", id)
	}
	if fd == "" {
		return env, errors.New("worker: NODE_UNIQUE_ID without NODE_CHANNEL_FD: a program in between (npm, a shell) kept the channel")
	}
	if env.fd, err = strconv.Atoi(fd); err != nil || env.fd < 0 {
		return env, fmt.Errorf("worker: NODE_CHANNEL_FD=%q is not a descriptor", fd)
	}
	if mode != "" && mode != "json" {
		return env, fmt.Errorf("worker: NODE_CHANNEL_SERIALIZATION_MODE=%q: only json is spoken here", mode)
	}
	if _, env.rondo = os.LookupEnv("RONDO_WORKER_ID"); !env.rondo {
		return env, nil
	}
	for _, v := range []struct {
		name string
		to   *int
	}{{"RONDO_SLOT", &env.slot}, {"RONDO_GENERATION", &env.generation}} {
		text := os.Getenv(v.name)
		if *v.to, err = strconv.Atoi(text); err != nil {
			return env, fmt.Errorf("worker: %s=%q is not a number", v.name, text)
		}
	}
	return env, nil
}
