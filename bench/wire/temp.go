package wire

import "github.com/pillboxgo/pillbox/bench/internal/measure"

func commandRows() []measure.Row  { return nil }
func redisRows() []measure.Row    { return nil }
func appendRows() []measure.Row   { return nil }
func postgresRows() []measure.Row { return nil }
