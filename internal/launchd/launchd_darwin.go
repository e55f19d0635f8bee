package launchd

// libSystem is called without cgo, as package syscall does: the linker binds the two
// functions, the few lines of launchd_darwin.s jump to them, and syscall.syscall calls
// those on a stack that C can use. (syscall_darwin.go of Go 1.26 keeps that name linkable
// for such packages.)

import (
	"runtime"
	"syscall"
	"unsafe"
)

//go:cgo_import_dynamic libc_launch_activate_socket launch_activate_socket "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_free free "/usr/lib/libSystem.B.dylib"

// Where the trampolines are.
var activateAddr, freeAddr uintptr

//go:linkname call syscall.syscall
func call(fn, a1, a2, a3 uintptr) (r1, r2 uintptr, err syscall.Errno)

// activate is int launch_activate_socket(const char *name, int **fds, size_t *count). It
// returns an error number, and leaves errno alone.
func activate(name string) ([]int, error) {
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	var out struct {
		fds   *int32 // of malloc(3)
		count uintptr
	}
	var pins runtime.Pinner // call takes numbers, which keep nothing in its place
	defer pins.Unpin()
	pins.Pin(text)
	pins.Pin(&out)
	result, _, _ := call(activateAddr, uintptr(unsafe.Pointer(text)), uintptr(unsafe.Pointer(&out.fds)), uintptr(unsafe.Pointer(&out.count)))
	if errno := syscall.Errno(uint32(result)); errno != 0 { // an int: the rest of the register is anything
		return nil, errno
	}
	var fds []int
	for _, fd := range unsafe.Slice(out.fds, out.count) {
		fds = append(fds, int(fd))
	}
	call(freeAddr, uintptr(unsafe.Pointer(out.fds)), 0, 0)
	return fds, nil
}
