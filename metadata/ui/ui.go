// Package ui is the browser page of the metadata servers.
package ui

import "embed"

// Files has index.html and what it loads.
//
//go:embed *.html *.js *.css
var Files embed.FS
