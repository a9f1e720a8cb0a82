package medicine

import (
	"context"
	"net/netip"
)

// LocalPath is localPath.
func LocalPath(next string) string { return localPath(next) }

// ClientAddress is clientAddress, for proxies as Config has them.
func ClientAddress(remote string, forwarded, proxies []string) netip.Addr {
	return clientAddress(remote, forwarded, parseProxies(proxies))
}

// AddressKey is addressKey.
func AddressKey(addr netip.Addr) string { return addressKey(addr) }

// CutText is cutText.
func CutText(text string, most int) string { return cutText(text, most) }

// FailSignIn counts what a sign-in with a wrong password does, without the hash.
func FailSignIn(a *App, folded, address string) error {
	attempt, err := a.throttles.beginSignIn(context.Background(), folded, address)
	if err == nil {
		attempt.Failed()
	}
	return err
}

// PassSignIn counts what a sign-in with the right password does, without the hash.
func PassSignIn(a *App, folded, address string) error {
	attempt, err := a.throttles.beginSignIn(context.Background(), folded, address)
	if err == nil {
		attempt.Dropped()
	}
	return err
}
