package mongostore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// Measured with Go 1.26 on two cores that also ran FerretDB, PostgreSQL and much
// other work: the least of eight short runs, as
//
//	go test -run=- -bench=. -benchtime=200x -count=8 ./store/mongostore
//
// gives it. Nearly all of it is the server's.
//
//	                                     text     subdocument
//	Load                               342 µs          373 µs
//	Load, deadline slides              506 µs          570 µs
//	Load, deadline need not move       485 µs          673 µs
//	Update                             606 µs          906 µs
//
//	subdocument of 183 bytes, both ways          4 µs, 52 allocations
//	subdocument of 300 kB, hostile          14,583 µs
//
// FerretDB locks the row for a deadline that need not move, and writes nothing.

const pills = `{"cookie":{"originalMaxAge":null,"expires":null,"secure":true,"httpOnly":true,"path":"/","sameSite":"lax"},` +
	`"__pillbox":{"created":1763900000000},"pills":[{"name":"Ibuprofen","mg":%d}]}`

// fresh returns a store that holds n sessions.
func fresh(b *testing.B, opts mongostore.Options, n int) *mongostore.Store {
	b.Helper()
	s := open(b, database(b), opts)
	for i := range n {
		create(b, s, fmt.Sprint("id", i), fmt.Sprintf(pills, 0))
	}
	return s
}

// What does reading a session cost, and what does it cost to slide its deadline
// along, when it has to move and when it need not?
func BenchmarkLoad(b *testing.B) {
	for _, form := range forms {
		s := fresh(b, form.Options, 1)
		deadline := in(2 * hour)
		for name, slide := range map[string]func() session.Slide{
			"plain":    func() session.Slide { return session.Slide{} },
			"no slide": func() session.Slide { return session.Slide{To: deadline, Before: in(0)} },
			"slide": func() session.Slide {
				deadline = deadline.Add(time.Millisecond)
				return session.Slide{To: deadline}
			},
		} {
			b.Run(form.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Load(b.Context(), "id0", slide()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// What does a change cost that compares with what was read?
func BenchmarkUpdate(b *testing.B) {
	for _, form := range forms {
		b.Run(form.name, func(b *testing.B) {
			s := fresh(b, form.Options, 1)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				old, data := fmt.Sprintf(pills, n), fmt.Sprintf(pills, n+1)
				if err := s.Update(b.Context(), "id0", []byte(old), []byte(data), in(hour)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What does the conversion of the subdocument form cost alone, for a usual
// session and for one of a hostile shape?
func BenchmarkSubdocument(b *testing.B) {
	hostile := []byte(`{"a":[`)
	for range 10000 {
		hostile = append(hostile, `{"a":1,"a":1e-7,"b":"\u0001"},`...)
	}
	hostile = append(hostile, `0]}`...)
	for name, text := range map[string][]byte{"usual": fmt.Appendf(nil, pills, 0), "hostile": hostile} {
		b.Run(fmt.Sprintf("%s, %d bytes", name, len(text)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				doc, ok := mongostore.ObjectOf(text, nil)
				if !ok {
					b.Fatal("no subdocument")
				}
				if _, err := mongostore.JSONOf(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
