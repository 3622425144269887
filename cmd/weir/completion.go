package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Run prints a script that completes the command line that the other commands have.
func (c completionCmd) Run(app *kong.Application, sys system) error {
	commands := completed(app)
	var b strings.Builder
	switch c.Shell {
	case "bash":
		completeBash(&b, commands)
	case "zsh":
		completeZsh(&b, commands)
	case "fish":
		completeFish(&b, commands)
	}
	_, err := fmt.Fprint(sys.stdout, b.String())
	return err
}

// completedCommand is what a script needs to know of a command.
type completedCommand struct {
	name, help string
	flags      []completedFlag
	// words are what an argument may be; files reports whether it is a file.
	words []string
	files bool
}

// completedFlag is a flag. One that takes a value has a placeholder.
type completedFlag struct {
	long, short, help, placeholder string
	words                          []string
	files                          bool
}

// spellings are the ways to write the flag.
func (f completedFlag) spellings() []string {
	if f.short == "" {
		return []string{"--" + f.long}
	}
	return []string{"-" + f.short, "--" + f.long}
}

// completed returns the commands of the command line. The first one is the command
// line without a command.
func completed(app *kong.Application) []completedCommand {
	var names []string
	for _, n := range app.Leaves(true) {
		names = append(names, n.Name)
	}
	out := []completedCommand{{flags: completedFlags(app.Node), words: names}}
	for _, n := range app.Leaves(true) {
		c := completedCommand{name: n.Name, help: brief(n.Help), flags: completedFlags(n)}
		for _, p := range n.Positional {
			c.words, c.files = enum(p), p.Tag.Get("completion") == "file"
			if p.Tag.Get("completion") == "command" {
				c.words = names
			}
		}
		out = append(out, c)
	}
	return out
}

// completedFlags returns the flags of a command and of the commands above it.
func completedFlags(n *kong.Node) []completedFlag {
	var out []completedFlag
	for _, f := range slices.Concat(n.AllFlags(true)...) {
		c := completedFlag{long: f.Name, help: brief(f.Help), words: enum(f.Value), files: f.Tag.Get("completion") == "file"}
		if f.Short != 0 {
			c.short = string(f.Short)
		}
		if !f.IsBool() {
			c.placeholder = cmp.Or(f.PlaceHolder, strings.ToUpper(f.Name))
		}
		out = append(out, c)
	}
	return out
}

// enum returns the values that a flag or an argument may have, if they are few.
func enum(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// brief returns the first part of a help text, for a shell's list of completions.
func brief(help string) string {
	end := len(help)
	for _, mark := range []string{". ", "; ", ": ", " (default"} {
		if i := strings.Index(help, mark); i >= 0 {
			end = min(end, i)
		}
	}
	return strings.TrimSuffix(help[:end], ".")
}

// completeBash writes a script for bash. Where it has no word to offer, bash completes
// file names. A flag has the same values in every command.
func completeBash(b *strings.Builder, commands []completedCommand) {
	fmt.Fprint(b, `# Load: source <(weir completion bash)
_weir() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= flags= words=
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
    [[ $cur == = ]] && cur=
    (( COMP_CWORD > 1 )) && command=${COMP_WORDS[1]}
    case $command in
`)
	for _, c := range commands {
		var flags []string
		for _, f := range c.flags {
			flags = append(flags, f.spellings()...)
		}
		fmt.Fprintf(b, "    '%s') flags='%s' words='%s' ;;\n", c.name, strings.Join(flags, " "), strings.Join(c.words, " "))
	}
	fmt.Fprint(b, "    esac\n    case $prev in\n")
	values := map[string][]string{} // the flags, by the values that they may have
	for _, c := range commands {
		for _, f := range c.flags {
			if words := strings.Join(f.words, " "); f.placeholder != "" {
				values[words] = append(values[words], f.spellings()...)
			}
		}
	}
	for _, words := range slices.Sorted(maps.Keys(values)) {
		slices.Sort(values[words])
		fmt.Fprintf(b, "    %s) flags= words='%s' ;;\n", strings.Join(slices.Compact(values[words]), "|"), words)
	}
	fmt.Fprint(b, `    esac
    [[ $cur == -* ]] && words=$flags
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _weir weir
`)
}

// completeZsh writes a script for zsh, to be sourced or to be put on $fpath as _weir.
func completeZsh(b *strings.Builder, commands []completedCommand) {
	// In an argument of _arguments, a colon separates and brackets enclose.
	plain := strings.NewReplacer("'", `'\''`, ":", `\:`, "[", `\[`, "]", `\]`)
	action := func(words []string, files bool) string {
		switch {
		case len(words) > 0:
			return "(" + strings.Join(words, " ") + ")"
		case files:
			return "_files"
		}
		return ""
	}
	fmt.Fprint(b, "#compdef weir\n# Load: source <(weir completion zsh)\n_weir() {\n    local -a commands\n    commands=(\n")
	for _, c := range commands[1:] {
		fmt.Fprintf(b, "        '%s:%s'\n", c.name, plain.Replace(c.help))
	}
	fmt.Fprint(b, "    )\n    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n        _describe command commands\n        return\n    fi\n    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n")
	for _, c := range slices.Concat(commands[1:], commands[:1]) {
		pattern := c.name
		if pattern == "" {
			pattern = "*"
		}
		fmt.Fprintf(b, "    %s)\n        _arguments", pattern)
		for _, f := range c.flags {
			value := ""
			if f.placeholder != "" {
				value = ":" + plain.Replace(f.placeholder) + ":" + action(f.words, f.files)
			}
			for _, s := range f.spellings() {
				equals := ""
				if f.placeholder != "" && strings.HasPrefix(s, "--") {
					equals = "="
				}
				fmt.Fprintf(b, " \\\n            '*%s%s[%s]%s'", s, equals, plain.Replace(f.help), value)
			}
		}
		if c.name != "" && (c.files || len(c.words) > 0) {
			fmt.Fprintf(b, " \\\n            ':%s:%s'", c.name, action(c.words, c.files))
		}
		fmt.Fprint(b, " ;;\n")
	}
	fmt.Fprint(b, "    esac\n}\nif [[ $funcstack[1] == _weir ]]; then\n    _weir \"$@\"\nelse\n    compdef _weir weir\nfi\n")
}

// completeFish writes a script for fish.
func completeFish(b *strings.Builder, commands []completedCommand) {
	quoted := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
	}
	fmt.Fprint(b, "# Load: weir completion fish | source\ncomplete -c weir -f\n")
	for _, c := range commands {
		when := "__fish_use_subcommand"
		if c.name != "" {
			fmt.Fprintf(b, "complete -c weir -n __fish_use_subcommand -a %s -d %s\n", c.name, quoted(c.help))
			when = "'__fish_seen_subcommand_from " + c.name + "'"
		}
		for _, f := range c.flags {
			fmt.Fprintf(b, "complete -c weir -n %s -l %s", when, f.long)
			if f.short != "" {
				fmt.Fprintf(b, " -s %s", f.short)
			}
			switch {
			case len(f.words) > 0:
				fmt.Fprintf(b, " -x -a %s", quoted(strings.Join(f.words, " ")))
			case f.files:
				fmt.Fprint(b, " -r -F")
			case f.placeholder != "":
				fmt.Fprint(b, " -x")
			}
			fmt.Fprintf(b, " -d %s\n", quoted(f.help))
		}
		switch {
		case c.name == "":
		case len(c.words) > 0:
			fmt.Fprintf(b, "complete -c weir -n %s -a %s\n", when, quoted(strings.Join(c.words, " ")))
		case c.files:
			fmt.Fprintf(b, "complete -c weir -n %s -F\n", when)
		}
	}
}
