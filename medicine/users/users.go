// Package users keeps the accounts of Medicine: who may sign in, and what their
// passwords are checked against.
package users

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

var (
	// ErrTaken: there is an account of this name already.
	ErrTaken = errors.New("user name is taken")

	// ErrNotFound: there is no such account.
	ErrNotFound = errors.New("no such user")
)

// A User is an account.
type User struct {
	// ID is the account's lasting name, which sessions go by: 26 random
	// letters and digits. It is never given to another account, not even
	// after this one is deleted.
	ID string

	// Name is what the account is shown as, in the letters that its owner
	// chose.
	Name string

	// Hash is what the password is checked against: what package password
	// makes of it.
	Hash string

	// Created is when the account was made, in whole milliseconds.
	Created time.Time
}

// A Table is where accounts are kept. Its methods may be called concurrently.
// Their errors hold no name and no hash.
type Table interface {
	// Create makes an account with a new id. It returns [ErrTaken] where an
	// account has this name as [Fold] sees it, and what Fold returns for a
	// name that is none. After any other error it takes back what it may have
	// made, unless that fails as well.
	Create(ctx context.Context, name, hash string) (User, error)

	// ByName returns the account of this name as [Fold] sees it, or
	// [ErrNotFound], which is also the answer for a name that is none.
	ByName(ctx context.Context, name string) (User, error)

	// ByID returns the account with this id, or [ErrNotFound].
	ByID(ctx context.Context, id string) (User, error)

	// UpdateHash replaces the hash of an account if it is still old, and does
	// nothing otherwise: the password was changed meanwhile, or the account
	// is gone.
	UpdateHash(ctx context.Context, id, old, hash string) error

	// Delete removes an account; if there is none, it does nothing. The
	// account's sessions are not touched.
	Delete(ctx context.Context, id string) error
}

// newUser returns an account that is about to be made, and its folded name.
func newUser(name, hash string) (u User, folded string, err error) {
	if folded, err = Fold(name); err != nil {
		return User{}, "", err
	}
	// 130 random bits: none comes twice.
	u = User{ID: rand.Text(), Name: shown(name), Hash: hash, Created: time.Now().Truncate(time.Millisecond)}
	return u, folded, nil
}
