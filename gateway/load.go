package gateway

import (
	"bytes"
	"fmt"
	"os"

	"weir/policy"
	"weir/policy/config"
	"weir/xds"
)

// FileSource returns a function that reads a configuration file.
func FileSource(file string, getenv func(string) string) func() (policy.Source, error) {
	return Source(file, func() ([]byte, error) { return os.ReadFile(file) }, getenv)
}

// Source returns a function that reads a configuration. name is its file name in
// messages; other files are found relative to it. An empty file would be a valid
// configuration; it is far more likely one that is being written.
func Source(name string, read func() ([]byte, error), getenv func(string) string) func() (policy.Source, error) {
	return func() (policy.Source, error) {
		data, err := read()
		if err == nil && len(bytes.TrimSpace(data)) == 0 {
			err = fmt.Errorf("%s: is empty (a configuration without any key is {})", name)
		}
		return policy.Source{File: name, Data: data, Getenv: getenv, ReadFile: os.ReadFile, Own: thisMachine()}, err
	}
}

// Load compiles a configuration, or returns every problem in it, including what Envoy
// would reject. What has not changed since known was loaded is not compiled again; known
// may be empty.
func Load(src policy.Source, known policy.Loaded) (policy.Loaded, config.Problems) {
	loaded, problems := policy.Reload(src, known)
	if len(problems) == 0 && loaded.Policy != known.Policy {
		problems = loaded.ProblemsOf(xds.Check(loaded.Policy))
	}
	if len(problems) > 0 {
		return policy.Loaded{}, problems
	}
	return loaded, nil
}

// loader reads the configuration and compiles it.
type loader struct {
	source    func() (policy.Source, error)
	file      string
	inputs    inputs
	addresses *addresses
}

func newLoader(source func() (policy.Source, error), file string, a *addresses) *loader {
	return &loader{
		source: source, file: file, addresses: a,
		inputs: inputs{changed: make(chan struct{}, 1)},
	}
}

// load returns what the configuration is compiled to, or its problems. What has not
// changed is that of known, which may be empty.
func (l *loader) load(known configuration) (configuration, error) {
	files := []string{l.file}
	defer func() { l.inputs.set(files) }()
	src, err := l.source()
	if err != nil {
		return configuration{}, err
	}
	readFile := src.ReadFile
	src.ReadFile = func(name string) ([]byte, error) {
		files = append(files, name)
		return readFile(name)
	}
	l.addresses.bring(&src.Own)
	loaded, problems := Load(src, known.Loaded)
	if len(problems) > 0 {
		return configuration{}, problems
	}
	return configuration{Loaded: loaded}, l.addresses.check(loaded.Policy)
}
