package main

import (
	"fmt"
	"strings"

	"weir/gateway"
	"weir/policy"
	"weir/policy/litellm"
)

// Run prints the configuration, and on standard error what to do about it.
func (c importCmd) Run(sys system) error {
	src, err := sys.source(c.File)()
	if err != nil {
		return err
	}
	if c.From == "ngrok" {
		return unchanged(sys, src)
	}
	result, err := litellm.Import(src.Data, sys.getenv)
	if err != nil {
		return fmt.Errorf("%s: %w", src.File, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by `weir import litellm`. What it left out is listed on standard error.\n")
	if len(result.Secrets) > 0 {
		fmt.Fprintf(&b, "#\n# Keys come from the environment:\n")
		for _, s := range result.Secrets {
			value := "the key that was in the file"
			if s.From != "" {
				value = `"$` + s.From + `"`
			}
			fmt.Fprintf(&b, "#   %s: %s\n", s.Variable, value)
		}
	}
	b.Write(result.YAML)
	if _, err := fmt.Fprint(sys.stdout, b.String()); err != nil {
		return err
	}
	for _, n := range result.Notes {
		fmt.Fprintf(sys.stderr, "%s:%d: %s: %s\n", src.File, n.Line, n.Path, n.Text)
	}
	return nil
}

// unchanged prints a traffic policy that Weir can load, or its problems.
func unchanged(sys system, src policy.Source) error {
	if _, problems := gateway.Load(src, policy.Loaded{}); len(problems) > 0 {
		return problems
	}
	_, err := sys.stdout.Write(src.Data)
	return err
}
