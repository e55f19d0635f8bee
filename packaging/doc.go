// Package packaging holds what makes the packages of rondo: make packages.
package packaging
