package sqlitestore

import (
	"context"
	"fmt"
	"strings"
)

// SetMaxPages bounds the size of the database, as a full disk would, until it
// is called with another bound.
func (s *Store) SetMaxPages(n int) {
	s.writer.lock <- struct{}{}
	defer func() { <-s.writer.lock }()
	name, _, _ := strings.Cut(s.writer.dsn, "&_pragma=max_page_count")
	s.writer.dsn = name + fmt.Sprintf("&_pragma=max_page_count(%d)", n)
	if s.writer.conn != nil {
		s.writer.discard()
	}
}

// Synchronous returns whether the last write was forced to the disk (2, which
// is FULL) or not (1, NORMAL).
func (s *Store) Synchronous() any {
	s.writer.lock <- struct{}{}
	defer func() { <-s.writer.lock }()
	level, err := s.writer.conn.run(context.Background(), "PRAGMA synchronous")
	if err != nil {
		return err
	}
	return level
}

const (
	ApplicationID = applicationID
	SchemaVersion = schemaVersion
)
