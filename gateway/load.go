package gateway

import (
	"bytes"
	"fmt"
	"os"

	"weir/policy"
	"weir/telemetry/health"
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
		return policy.Source{File: name, Data: data, Getenv: getenv, ReadFile: os.ReadFile, Own: thisMachine(), Check: xds.Check}, err
	}
}

// loader reads the configuration and compiles it.
type loader struct {
	source    func() (policy.Source, error)
	file      string
	inputs    inputs
	addresses *addresses
	numbers   *numbers
}

func newLoader(source func() (policy.Source, error), file string, a *addresses, h *health.Tracker) *loader {
	return &loader{
		source: source, file: file, addresses: a, numbers: &numbers{health: h},
		inputs: inputs{changed: make(chan struct{}, 1)},
	}
}

// load returns the policy of the configuration, or its problems. It returns known,
// unless that is nil, if nothing has changed.
func (l *loader) load(known *policy.Policy) (*policy.Policy, error) {
	files := []string{l.file}
	defer func() { l.inputs.set(files) }()
	src, err := l.source()
	if err != nil {
		return nil, err
	}
	readFile := src.ReadFile
	src.ReadFile = func(name string) ([]byte, error) {
		files = append(files, name)
		return readFile(name)
	}
	if known != nil && known.MadeFrom(src) {
		return known, nil
	}
	l.numbers.bring(&src)
	src.Own.Listen, src.Own.Admin = l.addresses.inUse, l.addresses.adminInUse
	p, problems := policy.Load(src)
	if len(problems) > 0 {
		return nil, problems
	}
	return p, l.addresses.check(p)
}
