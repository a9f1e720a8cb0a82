package password

// Encoded decodes a hash and encodes it again; ok is false where it is none. It
// returns what computing it takes at the same time.
func Encoded(text string) (again string, memory, passes uint32, threads uint8, ok bool) {
	p, salt, tag, err := decode(text)
	return encode(p, salt, tag), p.memory, p.time, p.threads, err == nil
}
