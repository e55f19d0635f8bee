//go:build !portable

package e2e

// buildTags are those of the programs that are built.
const buildTags = ""
