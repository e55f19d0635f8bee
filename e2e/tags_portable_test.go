//go:build portable

package e2e

// buildTags are those of the programs that are built: of what is for other systems.
const buildTags = "portable"
