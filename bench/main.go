// Bench measures Pillbox and its peers in turn, on the same handlers and the
// same servers, and writes what it found as Markdown and as charts. From the
// root of the repository:
//
//	go -C bench run . -only 'memory$'
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/bench/inprocess"
	"github.com/pillboxgo/pillbox/bench/internal/measure"
	"github.com/pillboxgo/pillbox/bench/internal/report"
	"github.com/pillboxgo/pillbox/bench/wire"
)

func main() {
	var err error
	if args := os.Args[1:]; len(args) > 0 && args[0] == "serve" {
		err = serve(args[1:])
	} else {
		err = run(args, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures what the arguments ask for, and writes the report to stdout.
func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	passes := flags.Int("passes", 7, "how often each contender runs")
	length := flags.Duration("time", 300*time.Millisecond, "how long each pass of each contender takes")
	only := flags.String("only", "", "measure only rows whose name matches this `regexp`; no file is written but to -out")
	out := flags.String("out", "", "the `folder` for results.md and images/bench-*.svg; default: bench/ and docs/images/ if all rows ran, else only standard output")
	list := flags.Bool("list", false, "list the rows and measure nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	pick, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	var rows []measure.Row
	for _, row := range allRows() {
		if pick.MatchString(row.Name) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return fmt.Errorf("no row matches %q", *only)
	}
	var summaries []measure.Summary
	var failed error
	for i, row := range rows {
		if *list {
			fmt.Fprintln(stdout, row.Name)
			continue
		}
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%2d/%d %s\n", i+1, len(rows), row.Name)
		s := row.Run(measure.Options{Passes: *passes, Time: *length})
		if s.Err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", row.Name, s.Err))
			fmt.Fprintln(os.Stderr, "      ", s.Err)
		}
		fmt.Fprintf(os.Stderr, "       %s\n", time.Since(began).Round(100*time.Millisecond))
		summaries = append(summaries, s)
	}
	if *list {
		return nil
	}
	info := report.Info{
		Command:  "go -C bench run . " + quoted(args),
		Machine:  machine(),
		Versions: versions(),
	}
	if len(args) == 0 {
		info.Command = "make bench"
	}
	if err := report.Markdown(stdout, summaries, info); err != nil {
		return err
	}
	results, images := "", ""
	switch {
	case *out != "":
		results, images = *out, filepath.Join(*out, "images")
	case *only == "":
		results, images = ".", filepath.Join("..", "docs", "images")
	default:
		return failed
	}
	return errors.Join(failed, write(results, images, summaries, info))
}

// quoted returns the arguments as a shell takes them.
func quoted(args []string) string {
	all := make([]string, len(args))
	for i, arg := range args {
		if all[i] = arg; strings.ContainsAny(arg, " |$*?()[]'\"\\") {
			all[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(all, " ")
}

// allRows returns every row, in the order of the report.
func allRows() []measure.Row { return slices.Concat(inprocess.Rows(), wire.Rows()) }

// write writes the files.
func write(results, images string, summaries []measure.Summary, info report.Info) error {
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	var md strings.Builder
	if err := report.Markdown(&md, summaries, info); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(results, "results.md"), []byte(md.String()), 0o644); err != nil {
		return err
	}
	for name, chart := range report.Charts(summaries) {
		var svg strings.Builder
		if err := chart.SVG(&svg); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(images, name), []byte(svg.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
