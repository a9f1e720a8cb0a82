package history

import (
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// on returns an operation on the user's records that began and ended at these
// moments.
func on(call, ret int64, in input, out output) porcupine.Operation {
	if in.verb != signIn || in.replaces == 0 {
		in.replaces = -1
	}
	return porcupine.Operation{Input: &in, Call: call, Output: &out, Return: ret}
}

// made is a sign-in that makes the record in a slot, with the slot's number as
// its version.
func made(call, ret int64, slot int) porcupine.Operation {
	return on(call, ret, input{verb: signIn, slot: slot, data: int16(slot), deadline: 10, moment: 5}, output{})
}

func found(call, ret int64, slot int, version int16) porcupine.Operation {
	return on(call, ret, input{verb: load, slot: slot}, output{data: version, deadline: 10})
}

func lost(call, ret int64, slot int) porcupine.Operation {
	return on(call, ret, input{verb: load, slot: slot}, output{answer: notFound})
}

func changed(call, ret int64, slot int, from, to int16, a answer) porcupine.Operation {
	return on(call, ret, input{verb: update, slot: slot, old: from, data: to, deadline: 10}, output{answer: a})
}

func revokedAt(call, ret int64, moment int32, n int, a answer) porcupine.Operation {
	return on(call, ret, input{verb: revoke, moment: moment, fence: 1}, output{answer: a, n: n})
}

// back is the return of a call that ends records.
func back(at int64) porcupine.Operation { return on(at, at, input{verb: returned, fence: 1}, output{}) }

func TestHistoriesByHand(t *testing.T) {
	const (
		refused = iota
		explained
		unlessAtomic // explained without Config.AtomicRevoke only
	)
	for _, test := range []struct {
		name    string
		want    int
		history []porcupine.Operation
	}{
		{"nothing", explained, nil},
		{"found, changed, found", explained, []porcupine.Operation{
			made(1, 2, 1), found(3, 4, 1, 1), changed(5, 6, 1, 1, 2, done), found(7, 8, 1, 2),
		}},
		{"stale read", refused, []porcupine.Operation{
			made(1, 2, 1), changed(3, 4, 1, 1, 2, done), found(5, 6, 1, 1),
		}},
		{"an older read that takes long", explained, []porcupine.Operation{
			made(1, 2, 1), changed(3, 6, 1, 1, 2, done), found(4, 9, 1, 1),
		}},
		{"two changes of one version", refused, []porcupine.Operation{
			made(1, 2, 1), changed(3, 9, 1, 1, 2, done), changed(4, 8, 1, 1, 3, done),
		}},
		{"conflict with nobody", refused, []porcupine.Operation{
			made(1, 2, 1), changed(3, 4, 1, 1, 2, conflict),
		}},
		{"back to life", refused, []porcupine.Operation{
			made(1, 2, 1), on(3, 4, input{verb: remove, slot: 1}, output{}), found(5, 6, 1, 1),
		}},
		{"gone before it was deleted", refused, []porcupine.Operation{
			made(1, 2, 1), lost(3, 4, 1), on(5, 6, input{verb: remove, slot: 1}, output{}),
		}},
		{"an unknown change that was made later", explained, []porcupine.Operation{
			made(1, 2, 1), changed(3, never, 1, 1, 2, unknown), found(4, 5, 1, 1), found(6, 7, 1, 2),
		}},
		{"an unknown change that comes undone", refused, []porcupine.Operation{
			made(1, 2, 1), changed(3, never, 1, 1, 2, unknown), found(4, 5, 1, 2), found(6, 7, 1, 1),
		}},
		{"an unknown delete that was made", explained, []porcupine.Operation{
			made(1, 2, 1), on(3, never, input{verb: remove, slot: 1}, output{answer: unknown}), found(4, 5, 1, 1), lost(6, 7, 1),
		}},
		{"a touch that moves back", refused, []porcupine.Operation{
			made(1, 2, 1), on(3, 4, input{verb: touch, slot: 1, deadline: 20}, output{}), found(5, 6, 1, 1),
		}},
		{"a slide that moves nothing", explained, []porcupine.Operation{
			made(1, 2, 1),
			on(3, 4, input{verb: slide, slot: 1, deadline: 9}, output{data: 1, deadline: 10}),
			on(5, 6, input{verb: slide, slot: 1, deadline: 20, before: 10}, output{data: 1, deadline: 10}),
		}},
		{"a sign-in that missed its revocation", refused, []porcupine.Operation{
			revokedAt(1, 2, 5, 0, done), made(3, 4, 1),
		}},
		{"a sign-in that is revoked as it returns", explained, []porcupine.Operation{
			revokedAt(1, 9, 5, 1, done), made(2, 5, 1), found(6, 7, 1, 1), back(10), lost(11, 12, 1),
		}},
		{"a sign-in that outlives its revocation", refused, []porcupine.Operation{
			revokedAt(1, 9, 5, 1, done), made(2, 5, 1), back(10), found(11, 12, 1, 1),
		}},
		{"refused without a revocation", refused, []porcupine.Operation{
			revokedAt(1, 2, 4, 0, done),
			on(3, 4, input{verb: signIn, slot: 1, moment: 5}, output{answer: revoked}),
		}},
		{"one ended, one not yet", unlessAtomic, []porcupine.Operation{
			made(1, 2, 1), made(3, 4, 2), revokedAt(5, 20, 5, 2, done), lost(6, 7, 1), found(8, 9, 2, 2), back(21), lost(22, 23, 2),
		}},
		{"one that is about to end comes back", refused, []porcupine.Operation{
			made(1, 2, 1), made(3, 4, 2), revokedAt(5, 20, 5, 2, done), lost(6, 7, 1), found(8, 9, 1, 1), back(21),
		}},
		{"one ended, one left, by a revocation nobody knows of", unlessAtomic, []porcupine.Operation{
			made(1, 2, 1), made(3, 4, 2), revokedAt(5, never, 5, 0, unknown), lost(6, 7, 1), found(8, 9, 2, 2),
		}},
		{"ended too few", refused, []porcupine.Operation{
			made(1, 2, 1), made(3, 4, 2), revokedAt(5, 6, 5, 1, done), back(7),
		}},
		{"one too many", refused, []porcupine.Operation{
			made(1, 2, 1),
			on(3, 4, input{verb: signIn, slot: 2, moment: 5, most: 1, fence: 1}, output{}), back(5), found(6, 7, 1, 1),
		}},
		{"ended for another", explained, []porcupine.Operation{
			made(1, 2, 1),
			on(3, 9, input{verb: signIn, slot: 2, moment: 5, most: 1, fence: 1}, output{}), found(4, 5, 1, 1), back(10), lost(11, 12, 1),
		}},
		{"ended for another that nobody knows of", explained, []porcupine.Operation{
			made(1, 2, 1),
			on(3, never, input{verb: signIn, slot: 2, moment: 5, most: 1, fence: 1}, output{answer: unknown}), lost(6, 7, 1),
		}},
		{"ended for another that was to be rejected", refused, []porcupine.Operation{
			made(1, 2, 1),
			on(3, never, input{verb: signIn, slot: 2, moment: 5, most: 1, reject: true, fence: 1}, output{answer: unknown}), lost(6, 7, 1),
		}},
		{"replaced, which is no reason to end", refused, []porcupine.Operation{
			made(1, 2, 1),
			on(3, 4, input{verb: signIn, slot: 2, moment: 5, most: 1, replaces: 1, fence: 1}, output{}), back(5), lost(6, 7, 1),
		}},
		{"refused though there is room", refused, []porcupine.Operation{
			made(1, 2, 1),
			on(3, 4, input{verb: signIn, slot: 2, moment: 5, most: 2, reject: true}, output{answer: tooMany}),
		}},
		{"listed out of order", refused, []porcupine.Operation{
			made(1, 2, 1), made(3, 4, 2), on(5, 6, input{verb: list}, output{slots: []int{2, 1}}),
		}},
		{"listed before it was made", refused, []porcupine.Operation{
			on(1, 2, input{verb: list}, output{slots: []int{1}}), made(3, 4, 1),
		}},
		{"left out", refused, []porcupine.Operation{
			made(1, 2, 1), on(3, 4, input{verb: omit, slot: 1}, output{}),
		}},
		{"left out as it ended", explained, []porcupine.Operation{
			made(1, 2, 1), on(3, 6, input{verb: omit, slot: 1}, output{}), on(4, 5, input{verb: remove, slot: 1}, output{}),
		}},
	} {
		for _, atomic := range []bool{false, true} {
			want := test.want == explained || test.want == unlessAtomic && !atomic
			if got := porcupine.CheckOperations(model(atomic), test.history); got != want {
				t.Errorf("%s: CheckOperations of the model with atomic = %t returns %t; want %t", test.name, atomic, got, want)
			}
		}
	}
}

// A user and the records that nobody owns are independent.
func TestPartition(t *testing.T) {
	var history []porcupine.Operation
	for i := range 6 {
		history = append(history, on(int64(i), int64(i), input{object: i % 3}, output{}))
	}
	parts := partition(history)
	if len(parts) != 3 || len(parts[0]) != 2 || parts[2][1].Input.(*input).object != 2 {
		t.Errorf("partition = %v; want three parts of two operations each", parts)
	}
}

// Every kind of call can be told from the others in a message.
func TestDescribe(t *testing.T) {
	seen := map[string]verb{}
	for v := range verbs {
		in := &input{verb: verb(v), slot: 3, old: 1, data: 2, deadline: 3_600_000, before: 1000, moment: 7, most: 2, reject: true, replaces: 4, spared: 1 << 5}
		text := describe(in, &output{slots: []int{3, -1}})
		if other, ok := seen[text]; ok || strings.Contains(text, "%!") {
			t.Errorf("describe(%s) = %q, as for %s", verb(v), text, other)
		}
		seen[text] = verb(v)
	}
}
