package medicine

import (
	"net/http"
	"net/netip"
	"strings"
)

// parseProxies parses what session.New has found to be right.
func parseProxies(texts []string) []netip.Prefix {
	var proxies []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			proxies = append(proxies, p.Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			proxies = append(proxies, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return proxies
}

// address returns the address that a request came from: that of the connection,
// or, where this is one of the trusted proxies, the rightmost entry of
// X-Forwarded-For that is not. What stands to the left of that entry is what the
// client says of itself. It is the zero Addr where the server does not know the
// connection's.
func (a *App) address(r *http.Request) netip.Addr {
	return clientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), a.proxies)
}

func clientAddress(remote string, forwarded []string, proxies []netip.Prefix) netip.Addr {
	client, ok := parseAddress(remote)
	if !ok {
		return netip.Addr{}
	}
	for i := len(forwarded) - 1; i >= 0; i-- {
		line, last := forwarded[i], ""
		for more := true; more; {
			if !trusted(client, proxies) {
				return client
			}
			if at := strings.LastIndexByte(line, ','); at >= 0 {
				line, last = line[:at], line[at+1:]
			} else {
				last, more = line, false
			}
			next, ok := parseAddress(strings.TrimSpace(last))
			if !ok {
				// The proxy that is trusted last hides who it got this from.
				return client
			}
			client = next
		}
	}
	return client
}

func trusted(addr netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddress reads an address with or without a port.
func parseAddress(text string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().WithZone(""), err == nil
}

// addressKey returns what attempts from an address are counted under. Whoever
// has one address of IPv6 has all of its /64.
func addressKey(addr netip.Addr) string {
	if !addr.Is6() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return network.String()
}
