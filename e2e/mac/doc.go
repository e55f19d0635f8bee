// Package mac tests rondo under a real launchd, which only a Mac has: make test-mac there.
package mac
