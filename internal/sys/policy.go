package sys

// Batch puts the calling thread, which the caller has locked, under SCHED_BATCH
// (sched(7)): when something wakes it, it does not interrupt what runs, and so has more
// to do when its turn comes. A thread that is under another policy than the usual one
// stays under that. restore, which is never nil, puts it back.
//
// Children that this thread starts inherit it. Go starts other threads from one that is
// not locked, so goroutines elsewhere do not.
func Batch() (restore func(), err error) { return batch() }
