// Package launchd asks launchd for the sockets of the job that this process is: the
// service manager of macOS, by launch_activate_socket(3), which is there since 10.10.
// Elsewhere there is none to ask.
//
// It is for activation, which says what the sockets are and makes them so. Nobody has
// run it on a Mac yet: that it links, and to what, is tested on Linux.
package launchd

// Activate gives the descriptors of the sockets that the job's property list has under
// a name in Sockets: as many as the addresses that its SockNodeName has. They are the
// caller's to close; they are blocking, and children inherit them. Each name is
// given once in the life of a process.
//
// An error is a [syscall.Errno]: ENOENT when the job has no such name; ESRCH when launchd
// did not start this process, and in practice also for a name that it does not know;
// EALREADY when the name was asked for before. Where there is no launchd it is ESRCH.
func Activate(name string) ([]int, error) { return activate(name) }
