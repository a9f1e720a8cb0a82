package pgstore

// PruneInTurn is what the store's goroutine calls.
var PruneInTurn = (*Store).pruneInTurn

// Turn returns the advisory lock of who prunes a table.
func Turn(schema, table string) int64 { return key("prune", schema, table) }
