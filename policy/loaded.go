package policy

import (
	"fmt"
	"strconv"
	"time"

	"weir/policy/config"
)

// Loaded is the result of loading a configuration file: the policy and the access keys
// that it was compiled to, and the lines of the file that later problems refer to.
//
// The lines are those of the file that was read last. The Policy may be older: a line
// that is added to the access keys moves everything below it, and compiles nothing.
type Loaded struct {
	Policy *Policy
	Keys   *AccessKeys

	file   string // digest of its text
	places map[string]config.Problem
}

// places returns where the file has what a policy names by a path.
func (l *loader) places(p *Policy) map[string]config.Problem {
	out := map[string]config.Problem{}
	add := func(path string) { out[path] = l.pos.Problem(path, "") }
	add("")
	add("listen")
	for _, path := range p.paths {
		add(path)
	}
	for _, e := range p.Expiries {
		add(e.path)
	}
	for i := range p.strategies.modelSource {
		add(config.IndexPath(p.strategies.path, i))
	}
	for _, path := range p.cutTimeouts {
		add(path)
	}
	for _, d := range p.doubts {
		add(d.path)
	}
	return out
}

// problem returns a problem at a path that the policy names.
func (l Loaded) problem(path, message string) config.Problem {
	out := l.places[path]
	out.Message = message
	return out
}

// ProblemOf returns a problem of a resource of Envoy that was made from the policy, at
// the place of the provider that the resource is for. name is the name of a cluster or
// secret. Any other name is about the listener.
func (l Loaded) ProblemOf(name, message string) config.Problem {
	id := ProviderOf(name)
	if id == "" {
		return l.problem("listen", message)
	}
	if path := l.Policy.paths[id]; path != "" {
		return l.problem(path, message)
	}
	return l.ProblemOfFile("provider " + strconv.Quote(id) + ": " + message)
}

// ProblemOfFile returns a problem of the whole file.
func (l Loaded) ProblemOfFile(message string) config.Problem {
	return config.Problem{File: l.places[""].File, Message: message}
}

// Invalid is a part of a policy that Envoy would reject.
type Invalid struct {
	Cluster string // or the name of the secret; empty: neither
	Reason  string // without any value of the configuration
}

// ProblemsOf returns what Envoy would reject as problems of the providers that it comes
// from, in the order of the file.
func (l Loaded) ProblemsOf(all []Invalid) config.Problems {
	var out config.Problems
	seen := map[config.Problem]bool{}
	for _, one := range all {
		problem := l.problem(l.Policy.paths[ProviderOf(one.Cluster)], "Envoy would reject the resources made from this: "+one.Reason)
		if !seen[problem] {
			seen[problem] = true
			out = append(out, problem)
		}
	}
	out.Sort()
	return out
}

// doubt is what is probably wrong with the valid value at a path of the file.
type doubt struct{ path, text string }

// Warnings returns what an operator should know about a valid configuration at a time.
// An expired certificate is a warning and not a problem: it must not keep another change,
// such as the removal of a key, from taking effect.
func (l Loaded) Warnings(now time.Time) config.Problems {
	out := l.strategyWarning()
	for _, path := range l.Policy.cutTimeouts {
		out = append(out, l.problem(path, fmt.Sprintf("is longer than total_timeout, %s, which ends the attempt earlier", l.Policy.TotalTimeout)))
	}
	for _, d := range l.Policy.doubts {
		out = append(out, l.problem(d.path, d.text))
	}
	for _, e := range l.Policy.Expiries {
		var text string
		switch {
		case now.After(e.NotAfter):
			text = "the certificate in %s expired on " + e.NotAfter.UTC().Format(time.RFC3339)
		case now.Before(e.NotBefore):
			text = "the certificate in %s is not valid before " + e.NotBefore.UTC().Format(time.RFC3339)
		case now.Add(e.soon()).After(e.NotAfter):
			text = "the certificate in %s expires on " + e.NotAfter.UTC().Format(time.RFC3339)
		default:
			continue
		}
		out = append(out, l.problem(e.path, fmt.Sprintf(text, e.File)))
	}
	return out
}
