// Darwin keeps such counters only in a private structure behind a sysctl
// (net.inet.tcp.stats), whose layout changes between releases.

package ledger

import "errors"

func overflows() (Overflow, error) { return Overflow{}, errors.ErrUnsupported }
