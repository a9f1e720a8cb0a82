package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Format returns a figure's value in the unit that reads best: the time of
// "ns/op" may come out in ms.
func Format(figure string, v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	if strings.HasSuffix(figure, "ns/op") || strings.HasSuffix(figure, " ns") {
		return duration(v)
	}
	return number(v)
}

// duration returns nanoseconds in ns, µs, ms or s.
func duration(ns float64) string {
	v, unit := ns, "ns"
	for _, next := range []string{"µs", "ms", "s"} {
		if math.Abs(v) < 999.5 {
			break
		}
		v, unit = v/1000, next
	}
	return number(v) + " " + unit
}

// number returns v with about three digits, and its thousands apart.
func number(v float64) string {
	size := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return ""
	case math.IsInf(v, 0):
		return "∞"
	case size >= 99.95 || size == 0:
		return thousands(math.Round(v))
	case size >= 9.995:
		return trim(strconv.FormatFloat(v, 'f', 1, 64))
	}
	return trim(strconv.FormatFloat(v, 'f', 2, 64))
}

// trim drops zeros behind the point: 2.00 allocations are 2.
func trim(s string) string {
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}

func thousands(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}

// times returns a ratio, with more digits where it is close to one.
func times(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	if math.Abs(v) < 9.95 {
		return fmt.Sprintf("%.2f", v)
	}
	return number(v)
}
