package inprocess

import (
	"strings"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// hostileRows have requests that only an attacker sends.
func hostileRows() []measure.Row {
	// send has the same Cookie header sent again and again. In none of them is
	// there a session to be found.
	send := func(header func(cookie string) string) func(site) (func() error, error) {
		return func(s site) (func() error, error) {
			cookie, err := begin(s, values(1))
			if err != nil {
				return nil, err
			}
			cookies := []string{header(cookie)}
			s.job().work = probe
			return func() error { return s.call(cookies) }, nil
		}
	}
	name := func(cookie string) string { name, _, _ := strings.Cut(cookie, "="); return name }
	return []measure.Row{
		{
			Name:   "hostile: 64 KB of other cookies",
			Note:   "1,000 cookies that are nobody's; the handler asks for the session.",
			Key:    "ns/op",
			Passes: 3,
			Open: contenders(inMemory, send(func(string) string {
				return strings.Repeat("cookie="+strings.Repeat("x", 57)+"; ", 1000)
			})),
		},
		{
			Name:   "hostile: 64 KB of tiny cookies",
			Note:   "13,107 of them. net/http reads none at all where there are more than 3,000, not even the session's own, and so its users are done at once.",
			Key:    "ns/op",
			Passes: 3,
			Open:   contenders(inMemory, send(func(string) string { return strings.Repeat("a=b; ", 64<<10/5) })),
		},
		{
			Name:   "hostile: 64 KB in one cookie of the session's name",
			Key:    "ns/op",
			Passes: 3,
			Open: contenders(inMemory, send(func(cookie string) string {
				return name(cookie) + "=" + strings.Repeat("a", 64<<10)
			})),
		},
		{
			Name:   "hostile: 1,000 cookies of the session's name",
			Note:   "Each of another forged value. Users of net/http's Request.Cookie look at the first one only, and would not find a genuine one behind it.",
			Key:    "ns/op",
			Passes: 3,
			Open: contenders(inMemory, send(func(cookie string) string {
				forged := make([]string, 1000)
				for i := range forged {
					forged[i] = forge(cookie, i)
				}
				return strings.Join(forged, "; ")
			})),
		},
		{
			Name:   "hostile: a flood of forged cookies",
			Note:   "Each request has another one, of the right form. scs and fiber do not sign cookies and ask the store; fiber starts a session for each.",
			Key:    "ns/op",
			Passes: 3,
			Open:   contenders(inMemory, flood),
		},
		{
			Name:   "hostile: a session at the size limit, read one value",
			Note:   "250 KiB in another value. gorilla's cookies and files cannot hold it.",
			Key:    "ns/op",
			Passes: 3,
			Open: contenders([]implementation{bare, pillbox, scsGob, scsJSON, fiberV3, ginMem}, func(s site) (func() error, error) {
				cookie, err := begin(s, large())
				if err != nil {
					return nil, err
				}
				cookies := []string{cookie}
				s.job().work = read
				return func() error { return s.call(cookies) }, nil
			}),
		},
	}
}

// flood sends forged cookies in turn.
func flood(s site) (func() error, error) {
	cookie, err := begin(s, values(1))
	if err != nil {
		return nil, err
	}
	forged := make([][]string, 4096)
	for i := range forged {
		forged[i] = []string{forge(cookie, i)}
	}
	s.job().work = probe
	i := 0
	return func() error {
		i = (i + 1) % len(forged)
		return s.call(forged[i])
	}, nil
}
