package medicine_test

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/medicine"
)

func TestClientAddress(t *testing.T) {
	proxies := []string{"10.0.0.0/8", "192.0.2.80", "2001:db8:ffff::/48"}
	for _, test := range []struct {
		name      string
		remote    string
		forwarded []string
		proxies   []string
		want      string // "" for none
	}{
		{name: "direct", remote: "203.0.113.7:1234", want: "203.0.113.7"},
		{name: "direct, IPv6", remote: "[2001:db8::7]:1234", want: "2001:db8::7"},
		{name: "mapped", remote: "[::ffff:203.0.113.7]:1234", want: "203.0.113.7"},
		{name: "zone", remote: "[fe80::1%eth0]:1234", want: "fe80::1"},
		{name: "nobody is trusted", remote: "203.0.113.7:1234", forwarded: []string{"198.51.100.1"}, want: "203.0.113.7"},
		{name: "stranger says what he likes", remote: "203.0.113.7:1234", forwarded: []string{"198.51.100.1"}, proxies: proxies, want: "203.0.113.7"},
		{name: "one proxy", remote: "10.0.0.1:1234", forwarded: []string{"203.0.113.7"}, proxies: proxies, want: "203.0.113.7"},
		{name: "one proxy, IPv6", remote: "[2001:db8:ffff::1]:1234", forwarded: []string{"2001:db8::7"}, proxies: proxies, want: "2001:db8::7"},
		{name: "proxy as a mapped address", remote: "[::ffff:10.0.0.1]:1234", forwarded: []string{"203.0.113.7"}, proxies: proxies, want: "203.0.113.7"},
		{name: "single proxy", remote: "192.0.2.80:1", forwarded: []string{"203.0.113.7"}, proxies: proxies, want: "203.0.113.7"},
		{name: "beside the single proxy", remote: "192.0.2.81:1", forwarded: []string{"203.0.113.7"}, proxies: proxies, want: "192.0.2.81"},
		{name: "two proxies", remote: "10.0.0.1:1", forwarded: []string{"203.0.113.7, 10.0.0.2"}, proxies: proxies, want: "203.0.113.7"},
		{name: "invented entries before", remote: "10.0.0.1:1", forwarded: []string{"198.51.100.1, 10.9.9.9, 203.0.113.7"}, proxies: proxies, want: "203.0.113.7"},
		{name: "invented, with proxies after", remote: "10.0.0.1:1", forwarded: []string{"198.51.100.1,203.0.113.7 ,10.0.0.3,10.0.0.2"}, proxies: proxies, want: "203.0.113.7"},
		{name: "several lines", remote: "10.0.0.1:1", forwarded: []string{"198.51.100.1", "203.0.113.7", "10.0.0.2"}, proxies: proxies, want: "203.0.113.7"},
		{name: "with ports", remote: "10.0.0.1:1", forwarded: []string{"203.0.113.7:5555"}, proxies: proxies, want: "203.0.113.7"},
		{name: "IPv6 with a port", remote: "10.0.0.1:1", forwarded: []string{"[2001:db8::7]:5555"}, proxies: proxies, want: "2001:db8::7"},
		{name: "IPv6 in brackets", remote: "10.0.0.1:1", forwarded: []string{"[2001:db8::7]"}, proxies: proxies, want: "2001:db8::7"},
		{name: "proxies only", remote: "10.0.0.1:1", forwarded: []string{"10.0.0.3, 10.0.0.2"}, proxies: proxies, want: "10.0.0.3"},
		{name: "no header", remote: "10.0.0.1:1", proxies: proxies, want: "10.0.0.1"},
		{name: "empty header", remote: "10.0.0.1:1", forwarded: []string{""}, proxies: proxies, want: "10.0.0.1"},
		{name: "unknown", remote: "10.0.0.1:1", forwarded: []string{"203.0.113.7, unknown"}, proxies: proxies, want: "10.0.0.1"},
		{name: "unknown behind a proxy", remote: "10.0.0.1:1", forwarded: []string{"203.0.113.7, unknown, 10.0.0.2"}, proxies: proxies, want: "10.0.0.2"},
		{name: "markup", remote: "10.0.0.1:1", forwarded: []string{"<script>alert(1)</script>"}, proxies: proxies, want: "10.0.0.1"},
		{name: "comma at the end", remote: "10.0.0.1:1", forwarded: []string{"203.0.113.7,"}, proxies: proxies, want: "10.0.0.1"},
		{name: "a long list", remote: "10.0.0.1:1", forwarded: []string{strings.Repeat("10.0.0.1,", 50_000) + "10.0.0.1"}, proxies: proxies, want: "10.0.0.1"},
		{name: "no address", remote: "@", want: ""},
		{name: "nothing", remote: "", forwarded: []string{"203.0.113.7"}, proxies: proxies, want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := medicine.ClientAddress(test.remote, test.forwarded, test.proxies)
			if got.IsValid() != (test.want != "") || got.IsValid() && got.String() != test.want {
				t.Errorf("the client of %s with X-Forwarded-For %.80q = %v; want %q", test.remote, test.forwarded, got, test.want)
			}
		})
	}
}

// Whatever the header says, only what a trusted proxy has added moves the client.
func FuzzClientAddress(f *testing.F) {
	for _, header := range []string{"", ",", "203.0.113.7", "10.0.0.1", "10.0.0.1, 203.0.113.7", "[2001:db8::1]:1", "::ffff:10.0.0.1", "fe80::1%eth0", "unknown"} {
		f.Add(header)
	}
	proxies := []string{"10.0.0.0/8"}
	stranger := netip.MustParseAddr("203.0.113.7")
	f.Fuzz(func(t *testing.T, header string) {
		if got := medicine.ClientAddress("203.0.113.7:1", []string{header}, proxies); got != stranger {
			t.Errorf("a stranger with X-Forwarded-For %q is %v; want %v", header, got, stranger)
		}
		// What a proxy adds at the end is what it saw.
		if got := medicine.ClientAddress("10.0.0.1:1", []string{header + ", 203.0.113.7"}, proxies); got != stranger {
			t.Errorf("a client behind a proxy with X-Forwarded-For %q is %v; want %v", header, got, stranger)
		}
		if got := medicine.ClientAddress("10.0.0.1:1", []string{header}, proxies); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("behind a proxy, X-Forwarded-For %q gives %v; want an address without zone", header, got)
		}
	})
}

func TestAddressKey(t *testing.T) {
	for addr, want := range map[string]string{
		"203.0.113.7":        "203.0.113.7",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::/64",
		"2001:db8:1:2::":     "2001:db8:1:2::/64",
		"::1":                "::/64",
		"2001:db8:1:3::ffff": "2001:db8:1:3::/64",
	} {
		if got := medicine.AddressKey(netip.MustParseAddr(addr)); got != want {
			t.Errorf("attempts from %s count for %q; want %q", addr, got, want)
		}
	}
	if got := medicine.AddressKey(netip.Addr{}); got == "" {
		t.Error("attempts without an address count for nobody")
	}
}

func TestCutText(t *testing.T) {
	for _, test := range []struct {
		text string
		most int
		want string
	}{
		{"", 5, ""},
		{"abc", 5, "abc"},
		{"abcde", 5, "abcde"},
		{"abcdef", 5, "abcde"},
		{"abcdé", 5, "abcd"},
		{"abcé", 5, "abcé"},
		{"ab💊", 5, "ab"},
		{"a💊", 5, "a💊"},
		{"a💊b", 5, "a💊"},
		{"\xff\xff", 5, "?"},
		{"a\xffb", 5, "a?b"},
		{"abcd\xff", 5, "abcd?"},
		{"\x80\x80\x80\x80\x80\x80", 5, "?"},
	} {
		if got := medicine.CutText(test.text, test.most); got != test.want || len(got) > test.most || !utf8.ValidString(got) {
			t.Errorf("%q cut to %d bytes = %q; want %q", test.text, test.most, got, test.want)
		}
	}
}
