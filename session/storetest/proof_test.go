package storetest

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// broken says which case each broken reference fails.
var broken = []struct {
	bug   string
	fails []string
}{
	{"answers an unknown id with an empty record", []string{"LoadUnknown"}},
	{"loads dead records", []string{"LoadAfterDeadline", "UpdateShortensLife"}},
	{"dies a little early", []string{"LoadAfterDeadline"}},
	{"rounds deadlines down to seconds", []string{"LoadWhatCreateStored"}},
	{"keeps seconds in 32 bits", []string{"LoadFarDeadline"}},
	{"returns its own slice", []string{"LoadDataBelongsToCaller"}},
	{"slides to the zero time", []string{"SlideZero"}},
	{"never slides", []string{"SlideForward", "SlideLengthensLife"}},
	{"returns the deadline from before the slide", []string{"SlideReturnsDeadlineInForce"}},
	{"slides back", []string{"SlideNeverBack"}},
	{"ignores Slide.Before", []string{"SlideBefore"}},
	{"slides a record whose deadline is Slide.Before", []string{"SlideBefore"}},
	{"revives by a slide", []string{"SlideCannotRevive"}},
	{"slides by writing the whole record", []string{"TouchWritesNoData", "DeletedIsFinal"}},
	{"slides without a lock", []string{"TouchOnlyForwardInRace"}},

	{"creates over live records", []string{"CreateOverLive"}},
	{"never replaces the dead", []string{"CreateOverDead"}},
	{"keeps what is deleted", []string{"CreateOverDeleted", "Delete", "UpdateAfterDelete", "TouchAfterDelete"}},
	{"takes a deadline that is past for no deadline", []string{"CreateDeadlineNotInFuture"}},
	{"creates dead records", []string{"CreateDeadlineNotInFuture"}},
	{"ends a record by creating one that is past", []string{"CreateDeadlineNotInFutureOverLive"}},
	{"keeps the slice that Create was given", []string{"CreateDoesNotKeepData"}},
	{"refuses owners", []string{"CreateWithOwner"}},
	{"creates without a lock", []string{"RaceToCreate"}},
	{"replaces the dead without a lock", []string{"RaceToReplaceDead"}},

	{"updates no deadline", []string{"Update"}},
	{"updates deadlines only forward", []string{"Update", "UpdateShortensLife"}},
	{"upserts by Update", []string{"UpdateUnknown", "UpdateAfterDelete", "UpdateAfterDeadline", "DeleteOldAgainstUpdate"}},
	{"answers ErrConflict where there is nothing to update", []string{"UpdateUnknown", "UpdateAfterDelete"}},
	{"updates the dead", []string{"UpdateAfterDeadline"}},
	{"answers ErrNotFound where no byte changes", []string{"UpdateToTheSame", "TouchToTheSame"}},
	{"compares nothing", []string{"UpdateConflict", "DeleteOldConflict"}},
	{"compares lengths", []string{"UpdateComparesBytes", "DeleteOldComparesBytes"}},
	{"compares beginnings", []string{"UpdateComparesBytes", "DeleteOldComparesBytes"}},
	{"compares without case", []string{"UpdateComparesBytes", "DeleteOldComparesBytes"}},
	{"compares like a padded column", []string{"UpdateComparesBytes", "DeleteOldComparesBytes"}},
	{"takes an empty old for a wildcard", []string{"UpdateConflict", "DeleteOldConflict"}},
	{"moves the deadline in spite of a conflict", []string{"UpdateConflict"}},
	{"updates to the past", []string{"UpdateDeadlineNotInFuture"}},
	{"deletes by an update that is past", []string{"UpdateDeadlineNotInFuture"}},
	{"keeps the slice that Update was given", []string{"UpdateDoesNotKeepData"}},
	{"updates without a lock", []string{"RaceToUpdate", "NoLostUpdate", "DeleteOldAgainstUpdate"}},
	{"writes back what was deleted", []string{"DeletedIsFinal"}},

	{"touches nothing", []string{"TouchForward", "SlideLengthensLife"}},
	{"touches everybody", []string{"TouchForward"}},
	{"touches back", []string{"TouchNeverBack"}},
	{"refuses to touch back", []string{"TouchNeverBack"}},
	{"upserts by Touch", []string{"TouchUnknown", "TouchAfterDelete"}},
	{"touches the dead", []string{"TouchAfterDeadline"}},
	{"answers nothing to a Touch of what is not there", []string{"TouchUnknown", "TouchAfterDelete", "TouchAfterDeadline"}},
	{"touches by writing the whole record", []string{"TouchWritesNoData", "DeletedIsFinal"}},
	{"touches without a lock", []string{"TouchOnlyForwardInRace"}},

	{"answers ErrNotFound to a Delete of what is not there", []string{"DeleteAbsent"}},
	{"deletes by pattern", []string{"Delete"}},
	{"never deletes with an old", []string{"DeleteOld"}},
	{"ignores old in Delete", []string{"DeleteOldConflict", "DeleteOldAbsent"}},
	{"takes an empty old in Delete for nil", []string{"DeleteOldConflict", "DeleteOldAbsent"}},
	{"deletes the absent with an old", []string{"DeleteOldAbsent"}},
	{"deletes with an old without a lock", []string{"RaceToDeleteOld", "DeleteOldAgainstUpdate"}},

	{"unescapes JSON", []string{"BytesInBytesOut"}},
	{"trims data", []string{"BytesInBytesOut"}},
	{"cuts data at 64 KiB", []string{"Sizes"}},
	{"folds the case of ids", []string{"IDs"}},
	{"cuts long ids", []string{"IDs"}},

	{"does its work with a context that is done", []string{"ContextDone"}},
	{"takes a context that is done for ErrNotFound", []string{"ContextDone"}},
	{"hides the cause when ctx is done", []string{"ContextDone"}},
	{"stops half-way when ctx is done", []string{"ContextDoneMidway"}},
	{"hides the cause when ctx is done midway", []string{"ContextDoneMidway"}},
	{"waits without regard to ctx", []string{"ContextDoneWhileWaiting"}},
	{"shows the id in errors", []string{"ErrorsNameNothing"}},
	{"shows the data in errors", []string{"ErrorsNameNothing"}},
	{"takes a failure for ErrNotFound", []string{"FailureIsNoAnswer"}},
	{"orders a user's records by id", []string{"UserIDs", "MaxEndsOldest"}},
	{"orders a user's records by deadline", []string{"UserIDs", "MaxEndsOldest"}},
	{"lists what another user has by now", []string{"UserIDsReused"}},
	{"loses the owner in Update", []string{"UpdateKeepsOwner", "UserIDs"}},
	{"revokes without ending anything", []string{"RevokeUser", "RevokedIsFinal"}},
	{"ignores except", []string{"RevokeUser"}},
	{"looks at the first of except alone", []string{"RevokeUser"}},
	{"counts the excepted", []string{"RevokeUser"}},
	{"cuts except at 64", []string{"RevokeUserExceptMany"}},
	{"takes the empty user for a user", []string{"RevokeNobody"}},
	{"forgets AsOf", []string{"RevokedSignIn", "RefusedCreateEndsNothing"}},
	{"takes AsOf for later than a revocation at the same moment", []string{"RevokedSignIn"}},
	{"takes a zero AsOf for now", []string{"RevokedSignIn"}},
	{"revokes everybody", []string{"RevokedSignIn"}},
	{"lets the last revocation count", []string{"RevokedLatest"}},
	{"revokes without a lock", []string{"RaceToRevoke"}},
	{"folds the case of users", []string{"Strangers"}},
	{"trims users", []string{"Strangers"}},
	{"cuts long users", []string{"Strangers"}},
	{"ends the youngest", []string{"MaxEndsOldest"}},
	{"ends only one", []string{"MaxEndsOldest"}},
	{"bounds one record too many", []string{"MaxEndsOldest", "MaxReject"}},
	{"ends the oldest in spite of Reject", []string{"MaxReject"}},
	{"counts the dead", []string{"MaxCountsTheLiving", "Count"}},
	{"admits before it looks for a live record", []string{"RefusedCreateEndsNothing"}},
	{"bounds without a lock", []string{"RaceWithMax", "RaceWithReject"}},
	{"ignores Replaces", []string{"Replaces", "ReplacesWithReject", "RaceToReplace"}},
	{"ends what is replaced", []string{"Replaces"}},
	{"counts what is replaced with Reject", []string{"ReplacesWithReject", "RaceToReplace"}},
	{"makes room for whatever Replaces names", []string{"ReplacesNothing"}},
	{"looks for what is replaced after it has counted", []string{"RaceToReplace"}},

	{"lists the cursor again", []string{"List"}},
	{"lists the dead", []string{"List"}},
	{"ends the listing early", []string{"List"}},
	{"pages by offset", []string{"ListDuringChanges", "ListDuringRace"}},
	{"pages by deadline", []string{"ListDuringChanges"}},
	{"takes any limit", []string{"ListLimit", "PruneLimit"}},
	{"clears all but a few", []string{"Clear"}},
	{"prunes the living", []string{"Prune"}},
	{"prunes beyond the limit", []string{"Prune"}},
	{"prunes less than it could", []string{"Prune"}},

	{"tells only its own listeners", []string{"Watch"}},
	{"never says that it listens", []string{"Watch"}},
	{"ends a watch without the cause", []string{"Watch"}},
	{"forgets to tell of a Delete", []string{"Watch"}},
	{"tells before it stores", []string{"WatchTellsWhatIsStored"}},
	{"tells the last listener alone", []string{"WatchTwice"}},

	{"forgets everything when it is reopened", []string{"SurvivesReopening"}},
}

// run runs one case on a reference on a fake clock, where nothing takes time.
func run(t *testing.T, c testCase, bug string) (err error) {
	synctest.Test(t, func(t *testing.T) {
		m := newReference(bug)
		s := &subject{Store: m, handles: []session.Store{m, &reference{bug, m.shelf}}}
		s.reopen = func() { s.Store = m.reopen() }
		s.fail = func() { m.failed = true }
		s.stall = func() func() {
			m.stalled = make(chan struct{})
			time.AfterFunc(time.Hour, func() { close(m.stalled) }) // however broken
			return func() {}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		err = c.run(ctx, s)
		// What still waits for a stall ends with the bubble.
		time.Sleep(2 * time.Hour)
	})
	return err
}

func TestReferencePasses(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			if err := run(t, c, ""); err != nil {
				t.Errorf("%v\ncontract: %s", err, c.why)
			}
		})
	}
}

func TestBrokenStoresFail(t *testing.T) {
	byName := map[string]testCase{}
	for _, c := range cases() {
		byName[c.name] = c
	}
	for _, b := range broken {
		t.Run(b.bug, func(t *testing.T) {
			for _, name := range b.fails {
				c, ok := byName[name]
				if !ok {
					t.Errorf("no case is named %s", name)
					continue
				}
				err := run(t, c, b.bug)
				if err == nil {
					t.Errorf("a store that %s passes %s; want a failure", b.bug, name)
				}
				t.Logf("%s: %v", name, err)
			}
		})
	}
}

func TestEveryCaseHasABrokenStore(t *testing.T) {
	for _, c := range cases() {
		if c.why == "" {
			t.Errorf("case %s does not say why", c.name)
		}
		proven := false
		for _, b := range broken {
			proven = proven || slices.Contains(b.fails, c.name)
		}
		if !proven {
			t.Errorf("no broken store fails %s", c.name)
		}
	}
}

func TestRun(t *testing.T) {
	Run(t, func(t *testing.T) session.Store { return newReference("") })
}
