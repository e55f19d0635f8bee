package sys

import "golang.org/x/sys/unix"

const ioctlUnread = unix.SIOCINQ
