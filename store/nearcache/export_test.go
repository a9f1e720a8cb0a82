package nearcache

// Held returns how many records are cached, and what they take.
func Held(s Store) (records, bytes int64) {
	c := s.(interface{ self() *cache }).self()
	return c.records.Load(), c.bytes.Load()
}

func (c *cache) self() *cache { return c }
