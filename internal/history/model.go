package history

import (
	"hash/maphash"

	"github.com/anishathalye/porcupine"
)

// A status is what has become of a record.
type status uint8

const (
	absent status = iota // never created, as far as anybody knows
	live
	ending // condemned by a call that has not returned yet: there, or gone
	gone
)

// A record is one as the model has it.
type record struct {
	status   status
	place    uint8  // in the order in which the user's records were created, from 1
	data     int16  // the version
	deadline int32  // milliseconds after the world's start
	fences   uint64 // the calls before whose return a condemned record has to be gone
}

// maxOwned bounds the records that a world's user ever has.
const maxOwned = 24

// A state is that of one object: of a user with all owned records, or of one
// record without an owner, which is then the first. It is comparable.
type state struct {
	records [maxOwned]record
	places  uint8 // how many records have one
	revoked int32 // the moment that sign-ins have to be later than
}

// model returns the sequential specification of a store, of which a RevokeUser may
// be atomic. Its operations have an *input and an *output.
func model(atomic bool) porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Partition: partition,
		Init:      func() any { return state{} },
		Step: func(before, in, out any) (bool, any) {
			s := before.(state)
			if !s.step(in.(*input), out.(*output), atomic) {
				if !out.(*output).maybe {
					return false, before
				}
				return true, before // it has done nothing so far
			}
			if s == before.(state) {
				return true, before
			}
			return true, s
		},
		Hash:              func(s any) uint64 { return maphash.Comparable(seed, s.(state)) },
		DescribeOperation: func(in, out any) string { return describe(in.(*input), out.(*output)) },
		DescribeState:     func(s any) string { return s.(state).String() },
	}
}

// partition separates what is independent: a history is linearizable if that of
// each object is.
func partition(history []porcupine.Operation) [][]porcupine.Operation {
	var parts [][]porcupine.Operation
	index := map[int]int{}
	for _, op := range history {
		object := op.Input.(*input).object
		i, ok := index[object]
		if !ok {
			i = len(parts)
			index[object] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// step changes s by an operation and reports whether that can have had this
// outcome. If not, s is of no further use.
func (s *state) step(in *input, out *output, atomic bool) bool {
	switch in.verb {
	case load, slide:
		return s.load(in, out)
	case create:
		return s.create(in, out)
	case signIn:
		return s.signIn(in, out)
	case update:
		return s.update(in, out)
	case touch:
		return s.touch(in, out)
	case remove, removeOld:
		return s.remove(in, out)
	case revoke:
		return s.revoke(in, out, atomic)
	case list:
		return s.listed(out.slots)
	case omit:
		return s.records[in.slot].status != live
	case returned:
		s.end(in.fence)
		return true
	}
	panic("no such verb")
}

// there reports whether a call may find the record.
func (r *record) there() bool { return r.status == live || r.status == ending }

// missing reports whether a call may find no record. One that is condemned has
// ended then.
func (r *record) missing() bool {
	if r.status == live {
		return false
	}
	if r.status == ending {
		r.status = gone
	}
	return true
}

// forward moves the deadline.
func (r *record) forward(to int32) { r.deadline = max(r.deadline, to) }

func (s *state) load(in *input, out *output) bool {
	r := &s.records[in.slot]
	switch out.answer {
	case done:
		if in.verb == slide {
			r.slide(in)
		}
		return r.there() && r.data == out.data && r.deadline == out.deadline
	case notFound:
		return r.missing()
	case unknown:
		if in.verb == slide {
			r.slide(in)
		}
		return true
	}
	return false
}

// slide is what a Slide does. Of a record that is not there nobody sees the
// deadline.
func (r *record) slide(in *input) {
	if r.there() && (in.before == 0 || r.deadline < in.before) {
		r.forward(in.deadline)
	}
}

func (s *state) create(in *input, out *output) bool {
	r := &s.records[in.slot]
	switch out.answer {
	case done, unknown:
		if r.status == live {
			return out.answer == unknown
		}
		*r = record{status: live, data: in.data, deadline: in.deadline}
		return true
	case exists:
		return r.status == live
	}
	return false
}

// signIn is create with an owner.
func (s *state) signIn(in *input, out *output) bool {
	refused := s.revoked >= in.moment
	counted := 0
	for slot := range s.records {
		if s.records[slot].status == live && slot != in.replaces {
			counted++
		}
	}
	full := in.most > 0 && counted >= in.most
	switch out.answer {
	case revoked:
		return refused
	case tooMany:
		return in.reject && (full || in.vague)
	case unknown:
		if !refused {
			if in.most > 0 && !in.reject {
				s.endanger(in)
			}
			// It may have been taken back by now.
			s.enter(in, ending)
		}
		return true
	case done:
		if refused || full && in.reject && !in.vague || s.records[in.slot].status != absent {
			return false
		}
		switch {
		case in.most > 0 && in.vague:
			s.endanger(in)
		case full:
			s.evict(counted-in.most+1, in)
			fallthrough
		case in.most > 0:
			s.await(in.fence)
		}
		s.enter(in, live)
		return true
	}
	return false
}

// enter makes a record of the user.
func (s *state) enter(in *input, as status) {
	s.places++
	s.records[in.slot] = record{status: as, place: s.places, data: in.data, deadline: in.deadline}
}

// evict condemns the n oldest records but for the one that in replaces.
func (s *state) evict(n int, in *input) {
	for ; n > 0; n-- {
		oldest := -1
		for slot, r := range s.records {
			if r.status == live && slot != in.replaces && (oldest < 0 || r.place < s.records[oldest].place) {
				oldest = slot
			}
		}
		s.records[oldest].status = ending
	}
}

// endanger is evict where nobody can tell who had to go.
func (s *state) endanger(in *input) {
	for slot := range s.records {
		if r := &s.records[slot]; r.status == live && slot != in.replaces {
			r.status = ending
		}
	}
}

// await makes the return of a call the end of what is condemned by then.
func (s *state) await(fence uint64) {
	for slot := range s.records {
		if s.records[slot].status == ending {
			s.records[slot].fences |= fence
		}
	}
}

// end is the return of a call.
func (s *state) end(fence uint64) {
	for slot := range s.records {
		if r := &s.records[slot]; r.status == ending && r.fences&fence != 0 {
			r.status = gone
		}
	}
}

func (s *state) update(in *input, out *output) bool {
	r := &s.records[in.slot]
	switch out.answer {
	case done, unknown:
		if !r.there() || r.data != in.old {
			return out.answer == unknown
		}
		r.data, r.deadline = in.data, in.deadline
		return true
	case conflict:
		return r.there() && r.data != in.old
	case notFound:
		return r.missing()
	}
	return false
}

func (s *state) touch(in *input, out *output) bool {
	r := &s.records[in.slot]
	switch out.answer {
	case done, unknown:
		if !r.there() {
			return out.answer == unknown
		}
		r.forward(in.deadline)
		return true
	case notFound:
		return r.missing()
	}
	return false
}

func (s *state) remove(in *input, out *output) bool {
	r := &s.records[in.slot]
	switch out.answer {
	case done, unknown:
		if in.verb == removeOld && (!r.there() || r.data != in.old) {
			return out.answer == unknown
		}
		if r.there() {
			r.status = gone
		}
		return true
	case conflict:
		return in.verb == removeOld && r.there() && r.data != in.old
	case notFound:
		return in.verb == removeOld && r.missing()
	}
	return false
}

func (s *state) revoke(in *input, out *output, atomic bool) bool {
	if out.answer != done && out.answer != unknown {
		return false
	}
	s.revoked = max(s.revoked, in.moment)
	ended, most := 0, 0
	for slot := range s.records {
		r := &s.records[slot]
		if r.status == absent || in.spared&(1<<slot) != 0 {
			continue
		}
		most++
		if r.status == live {
			ended++
		}
		if r.there() {
			r.status = ending
			r.fences |= in.fence
			if atomic {
				r.status = gone
			}
		}
	}
	switch {
	case out.answer == unknown || in.vague:
		return true
	case atomic:
		return out.n == ended
	}
	return ended <= out.n && out.n <= most
}

// listed reports whether records have been created, in this order.
func (s *state) listed(slots []int) bool {
	var last uint8
	for _, slot := range slots {
		if slot < 0 || s.records[slot].place <= last {
			return false
		}
		last = s.records[slot].place
	}
	return true
}
