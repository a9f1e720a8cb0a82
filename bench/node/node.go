// Package node holds the Express application that Pillbox is measured against,
// as files: Go finds them wherever the command was built.
package node

import "embed"

// Files are the script server.mjs and what pins its modules.
//
//go:embed package.json package-lock.json server.mjs
var Files embed.FS
