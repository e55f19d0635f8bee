//go:build linux

package machine

// allowed is the one list of messages of WARNING or worse that a machine may log.
// An entry without a name may be logged by any machine; one with a name only where
// a test says so by [Machine.Expect], which then must be seen. Only digits may vary
// in a message, so an entry allows one message and not a kind of messages.
var allowed = []allowance{
	{
		identifier: "dbus-daemon",
		message:    `^\[system\] org\.freedesktop\.DBus\.Error\.AccessDenied: Failed to set fd limit to \d+: Operation not permitted$`,
		reason: "bookworm's bus, where the host's root has a low hard limit of descriptors and not CAP_SYS_RESOURCE, " +
			"as in a container; the bus does with what it has",
	},
	{
		name:       "planted",
		identifier: "planted",
		message:    `^a planted warning number \d+$`,
		reason:     "TestExpectedWarningIsNoFault logs it, to see that Expect allows it",
	},
}
