package history

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pillboxgo/pillbox/session"
)

// A verb is what a call does. The last three are no calls of their own: omit is
// that a list named no record in slot, list that it named others, and returned
// that a call which had to end records has come back.
type verb uint8

const (
	load verb = iota
	slide
	create
	signIn
	update
	touch
	remove
	removeOld
	revoke
	list
	omit
	returned
)

var verbs = [...]string{
	load: "Load", slide: "Load with Slide", create: "Create", signIn: "Create with Owner", update: "Update", touch: "Touch",
	remove: "Delete", removeOld: "Delete with old", revoke: "RevokeUser", list: "UserIDs",
	omit: "UserIDs leaves out", returned: "… has returned",
}

func (v verb) String() string { return verbs[v] }

// An answer is what a call returned, as far as the contract tells answers apart.
type answer uint8

const (
	done answer = iota
	notFound
	exists
	conflict
	revoked
	tooMany
	unknown // some other error: the call may have done its work, or may yet do it
)

var answers = [...]struct {
	name string
	err  error
}{
	done: {"done", nil}, notFound: {"ErrNotFound", session.ErrNotFound}, exists: {"ErrExists", session.ErrExists},
	conflict: {"ErrConflict", session.ErrConflict}, revoked: {"ErrRevoked", session.ErrRevoked},
	tooMany: {"ErrTooManySessions", session.ErrTooManySessions}, unknown: {"unknown", nil},
}

func (a answer) String() string { return answers[a].name }

// answerOf tells what an error says.
func answerOf(err error) answer {
	if err == nil {
		return done
	}
	for a, of := range answers {
		if of.err != nil && errors.Is(err, of.err) {
			return answer(a)
		}
	}
	return unknown
}

// An input is what a call was asked.
type input struct {
	verb     verb
	object   int // that the call is on: see partition
	slot     int // of the record within the object
	old      int16
	data     int16
	deadline int32 // of a slide, To
	before   int32 // of a slide; 0 means no limit
	moment   int32 // AsOf, or at
	most     int   // Owner.Max
	reject   bool
	replaces int    // a slot, or -1
	spared   uint64 // a set of slots
	fence    uint64 // a set of one: this call among those that end records
	vague    bool   // the bound cannot be checked in this world
}

// An output is what a call answered.
type output struct {
	answer   answer
	maybe    bool  // it was still under way when the history was cut off
	data     int16 // the version, or -1 for what nobody has written
	deadline int32
	n        int
	slots    []int // -1 for what is none of this world's
}

// unchanging reports whether a call with this outcome leaves everything as it is.
func unchanging(in *input, out *output) bool {
	switch in.verb {
	case load, list, omit:
		return true
	case returned:
		return false
	}
	return out.answer != done && out.answer != unknown
}

// describe writes a call as a person would.
func describe(in *input, out *output) string {
	var b strings.Builder
	name := func(slot int) string { return recordName(in.object, slot) }
	switch in.verb {
	case load:
		fmt.Fprintf(&b, "Load(%s)", name(in.slot))
	case slide:
		fmt.Fprintf(&b, "Load(%s, slide to %s", name(in.slot), seconds(in.deadline))
		if in.before != 0 {
			fmt.Fprintf(&b, " before %s", seconds(in.before))
		}
		b.WriteByte(')')
	case create:
		fmt.Fprintf(&b, "Create(%s, v%d, until %s)", name(in.slot), in.data, seconds(in.deadline))
	case signIn:
		fmt.Fprintf(&b, "Create(%s, v%d, until %s, as of %d", name(in.slot), in.data, seconds(in.deadline), in.moment)
		if in.most > 0 {
			fmt.Fprintf(&b, ", at most %d", in.most)
		}
		if in.reject {
			b.WriteString(" or reject")
		}
		if in.replaces >= 0 {
			fmt.Fprintf(&b, ", replaces %s", name(in.replaces))
		}
		b.WriteByte(')')
	case update:
		fmt.Fprintf(&b, "Update(%s, v%d → v%d, until %s)", name(in.slot), in.old, in.data, seconds(in.deadline))
	case touch:
		fmt.Fprintf(&b, "Touch(%s, until %s)", name(in.slot), seconds(in.deadline))
	case remove:
		fmt.Fprintf(&b, "Delete(%s)", name(in.slot))
	case removeOld:
		fmt.Fprintf(&b, "Delete(%s, v%d)", name(in.slot), in.old)
	case revoke:
		fmt.Fprintf(&b, "RevokeUser(at %d", in.moment)
		for slot := range maxOwned {
			if in.spared&(1<<slot) != 0 {
				fmt.Fprintf(&b, ", but %s", name(slot))
			}
		}
		b.WriteByte(')')
	case list:
		b.WriteString("UserIDs()")
	case omit:
		fmt.Fprintf(&b, "UserIDs() leaves out %s", name(in.slot))
		return b.String()
	case returned:
		b.WriteString("(the call before has returned: what it ends has ended)")
		return b.String()
	}
	b.WriteString(" = ")
	switch {
	case out.answer != done:
		b.WriteString(out.answer.String())
	case in.verb == load || in.verb == slide:
		fmt.Fprintf(&b, "v%d, until %s", out.data, seconds(out.deadline))
	case in.verb == revoke:
		fmt.Fprintf(&b, "%d", out.n)
	case in.verb == list:
		for i, slot := range out.slots {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(name(slot))
		}
		if len(out.slots) == 0 {
			b.WriteString("none")
		}
	default:
		b.WriteString("done")
	}
	if out.maybe {
		b.WriteString(" (later)")
	}
	return b.String()
}

// recordName names a record in a message: g1 is a guest's, r1 the user's.
func recordName(object, slot int) string {
	switch guest := object % objects; {
	case slot < 0:
		return "a stranger"
	case guest > 0:
		return fmt.Sprintf("g%d", guest)
	}
	return fmt.Sprintf("r%d", slot+1)
}

// seconds writes a deadline, counted from the world's start.
func seconds(ms int32) string { return fmt.Sprintf("%gs", float64(ms)/1000) }

// String describes the state for porcupine's picture.
func (s state) String() string {
	var parts []string
	if s.revoked > 0 {
		parts = append(parts, fmt.Sprintf("revoked at %d", s.revoked))
	}
	for slot, r := range s.records {
		if r.status == absent {
			continue
		}
		what := [...]string{live: "", ending: " ending", gone: " gone"}[r.status]
		parts = append(parts, fmt.Sprintf("%d: v%d until %s%s", slot+1, r.data, seconds(r.deadline), what))
	}
	return strings.Join(parts, "; ")
}
