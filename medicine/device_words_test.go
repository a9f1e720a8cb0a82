package medicine_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/medicine"
)

var agents = []struct{ agent, browser, system string }{
	{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36", "Chromium 156", "Linux"},
	{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36", "Chromium 156", "Linux"},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0", "Firefox 147", "Linux"},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15", "Safari 26", "macOS"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1", "Safari 26", "iOS"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0", "Edge 156", "Windows"},
	{"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36", "Chromium 156", "Android"},
	{"curl/8.14.1", "curl 8", "an unknown system"},
	{"", "an unknown browser", "an unknown system"},
	{"<script>alert(1)</script>", "an unknown browser", "an unknown system"},
	{"Your bank (Your bank says: call 555)", "an unknown browser", "an unknown system"},
	{"Mozilla/5.0 (X11; Linux x86_64) Firefox/147<b>", "Firefox", "Linux"},
	{"Mozilla/5.0 (X11; Linux x86_64) Firefox/99999999999999999999", "Firefox", "Linux"},
	{"Mozilla/5.0 (X11; Linux x86_64) Firefox/\u0661\u0664", "Firefox", "Linux"},
	{"\x00\x1b[31m\xff\u202e", "an unknown browser", "an unknown system"},
	{strings.Repeat("(", 100_000), "an unknown browser", "an unknown system"},
}

func TestDeviceWords(t *testing.T) {
	for _, test := range agents {
		if browser, system := medicine.DeviceWords(test.agent); browser != test.browser || system != test.system {
			t.Errorf("DeviceWords(%.100q) = %q, %q; want %q, %q", test.agent, browser, system, test.browser, test.system)
		}
	}
}

// Whatever a header says, the page has words of our own and a number.
func FuzzDeviceWords(f *testing.F) {
	for _, test := range agents {
		f.Add(test.agent)
	}
	browsers := regexp.MustCompile(`^(an unknown browser|(Chromium|Edge|Firefox|Internet Explorer|Opera( Mini| Touch)?|Safari|Samsung Internet|Vivaldi|curl)( [0-9]{1,4})?)$`)
	systems := regexp.MustCompile(`^(an unknown system|Android|ChromeOS|FreeBSD|HarmonyOS|iOS|Linux|macOS|Windows( Phone)?)$`)
	f.Fuzz(func(t *testing.T, agent string) {
		browser, system := medicine.DeviceWords(agent)
		if !browsers.MatchString(browser) || !systems.MatchString(system) {
			t.Errorf("DeviceWords(%q) = %q, %q", agent, browser, system)
		}
	})
}
