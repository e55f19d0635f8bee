//go:build !linux

package sys

const ioctlUnread = 0x4004667f // FIONREAD, the same on every BSD; unix does not name it
