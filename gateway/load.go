package gateway

import (
	"bytes"
	"cmp"
	"fmt"
	"os"

	"weir/policy"
	"weir/xds"
)

// FileSource returns a function that reads a configuration file. An empty file
// would be a valid configuration; it is far more likely one that is being written.
func FileSource(file string, getenv func(string) string) func() (policy.Source, error) {
	return func() (policy.Source, error) {
		data, err := os.ReadFile(file)
		if err == nil && len(bytes.TrimSpace(data)) == 0 {
			err = fmt.Errorf("%s: is empty (a configuration without any key is {})", file)
		}
		return policy.Source{File: file, Data: data, Getenv: getenv, ReadFile: os.ReadFile, Own: thisMachine(), Check: xds.Check}, err
	}
}

// load reads the configuration and makes it a policy, or lists its problems. It
// gives known back, unless that is nil, where nothing changed.
func (g *Gateway) load(known *policy.Policy) (*policy.Policy, error) {
	files := []string{g.ConfigFile}
	defer func() { g.inputs.set(files) }()
	src, err := g.Source()
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
	src.Metrics, src.Health = g.numbers, g.health.Cluster
	src.Own.Listen, src.Own.Admin = g.inUse, g.adminInUse
	p, problems := policy.Load(src)
	if len(problems) > 0 {
		return nil, problems
	}
	if len(g.Options.Listen) > 0 || g.Admin != "" {
		if err := p.CheckListen(g.listenOn(p), cmp.Or(g.Admin, p.AdminListen)); err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
	}
	return p, nil
}
