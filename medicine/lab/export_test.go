package lab

import "time"

// Limit bounds how long an attack of l takes, before its first one.
func (l *Lab) Limit(d time.Duration) { l.limit = d }
