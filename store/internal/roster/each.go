package roster

import "sync"

// Each calls do for each id, atOnce of them at a time, and returns the first of its
// errors: for a [Backend] that has to delete records one by one. An error keeps
// none of the others from being deleted.
func Each(ids []string, atOnce int, do func(id string) error) error {
	var (
		mu    sync.Mutex
		first error
		wg    sync.WaitGroup
	)
	places := make(chan struct{}, atOnce)
	for _, id := range ids {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := do(id); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	wg.Wait()
	return first
}
