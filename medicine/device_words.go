package medicine

import (
	"strings"

	"github.com/mileusna/useragent"
)

const (
	unknownBrowser = "an unknown browser"
	unknownSystem  = "an unknown system"
)

// browsers and systems are the names that are put on a page. All others are
// unknown: whatever a header says would be shown to the user as our own words.
var (
	browsers = map[string]string{
		useragent.Chrome:           "Chromium", // or one of its kin that does not tell
		useragent.HeadlessChrome:   "Chromium",
		useragent.Edge:             "Edge",
		useragent.Firefox:          "Firefox",
		useragent.InternetExplorer: "Internet Explorer",
		useragent.Opera:            "Opera",
		useragent.OperaMini:        "Opera Mini",
		useragent.OperaTouch:       "Opera Touch",
		useragent.Safari:           "Safari",
		useragent.SamsungBrowser:   "Samsung Internet",
		useragent.Vivaldi:          "Vivaldi",
		"curl":                     "curl",
	}
	systems = map[string]string{
		useragent.Android:      "Android",
		useragent.ChromeOS:     "ChromeOS",
		useragent.FreeBSD:      "FreeBSD",
		useragent.Harmony:      "HarmonyOS",
		useragent.IOS:          "iOS",
		useragent.Linux:        "Linux",
		useragent.MacOS:        "macOS",
		useragent.Windows:      "Windows",
		useragent.WindowsPhone: "Windows Phone",
	}
)

// deviceWords puts a User-Agent header into words: "Chromium 156" and "Linux".
func deviceWords(agent string) (browser, system string) {
	parsed := useragent.Parse(agent[:min(len(agent), maxAgent)])
	browser, ok := browsers[parsed.Name]
	if !ok {
		browser = unknownBrowser
	} else if version := majorVersion(parsed.Version); version != "" {
		browser += " " + version
	}
	system, ok = systems[parsed.OS]
	if !ok {
		system = unknownSystem
	}
	return browser, system
}

// majorVersion returns the first number of a version, or "" where it begins with
// none that a browser could have.
func majorVersion(version string) string {
	major, _, _ := strings.Cut(version, ".")
	if len(major) == 0 || len(major) > 4 || strings.Trim(major, "0123456789") != "" {
		return ""
	}
	return major
}
