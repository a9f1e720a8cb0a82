package session

import (
	"bytes"
	"slices"
)

// A change is what a request does to one key. A constant is written as it is;
// functions are run again on what another request stored meanwhile.
type change struct {
	key      string
	constant bool                           // value does not depend on what is stored
	apply    []func([]byte) ([]byte, error) // otherwise: in this order, on the stored value
	value    []byte                         // the outcome as JSON; nil: no such key
}

// set remembers a constant value for a key; nil removes it.
func (st *state) set(key string, value []byte) {
	c := change{key: key, constant: true, value: value}
	if i := st.changeOf(key); i >= 0 {
		st.changes[i] = c
		return
	}
	st.add(c)
}

// add appends a change of a key that has none.
func (st *state) add(c change) {
	if st.changes == nil {
		st.changes = st.workroom().change[:0]
	}
	st.changes = append(st.changes, c)
}

// apply remembers a function for a key and runs it on the current value, which
// is nil where there is none.
func (st *state) apply(key string, f func([]byte) ([]byte, error)) error {
	old, _ := st.lookup(key)
	value, err := f(old)
	if err != nil {
		return err
	}
	i := st.changeOf(key)
	if i < 0 {
		st.add(change{key: key})
		i = len(st.changes) - 1
	}
	c := &st.changes[i]
	if !c.constant {
		c.apply = append(slices.Clip(c.apply), f)
	}
	c.value = value
	return nil
}

// replay runs the functions again on what is stored now.
func (st *state) replay() error {
	for i := range st.changes {
		c := &st.changes[i]
		if c.constant {
			continue
		}
		value, _ := st.base().find(c.key)
		for _, f := range c.apply {
			var err error
			if value, err = f(value); err != nil {
				return err
			}
		}
		c.value = value
	}
	return nil
}

func (st *state) changeOf(key string) int {
	return slices.IndexFunc(st.changes, func(c change) bool { return c.key == key })
}

// merge appends the base with the changes to fields.
func (st *state) merge(fields []field) []field {
	fields = st.base().appendFields(fields)
	for i := range st.changes {
		c := &st.changes[i]
		if c.value == nil {
			fields = remove(fields, c.key)
		} else {
			fields = replace(fields, c.key, c.value)
		}
	}
	return fields
}

// sets reports whether some key is to be given a value.
func (st *state) sets() bool {
	return slices.ContainsFunc(st.changes, func(c change) bool { return c.value != nil })
}

// modified returns the keys whose values differ from what is stored.
func (st *state) modified() []string {
	if len(st.changes) == 0 {
		return nil
	}
	keys := st.workroom().key[:0]
	for i := range st.changes {
		c := &st.changes[i]
		old, ok := st.base().find(c.key)
		if ok != (c.value != nil) || !bytes.Equal(old, c.value) {
			keys = append(keys, c.key)
		}
	}
	return keys
}
