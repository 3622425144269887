// Command bench compares Weir with a bare Envoy, and with the smallest possible external
// processor (plain go-grpc with generated types, which makes the same change of the body
// and no decision). They take turns in one run, on one machine, with the same provider
// and the same load.
//
// Compare ratios and CPU time. Wall times on a shared machine are shown, but depend on
// other load.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"weir/envoy"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 5, "rounds; in each, every subject runs every load once")
	seconds := flag.Float64("seconds", 2, "seconds of one load on one subject, about")
	providers := flag.Int("providers", 1, "providers in Weir's configuration")
	only := flag.String("only", "", "run only loads whose name contains this")
	role := flag.String("role", "", "internal: provider or processor")
	address := flag.String("address", "", "internal: where the role listens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch *role {
	case "provider":
		err = runProvider(*address)
	case "processor":
		err = runProcessor(*address)
	default:
		err = compare(ctx, *rounds, *seconds, *providers, *only)
	}
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

// loads are what is measured. events is the length of a streamed response, pause
// the time between two of them.
var loads = []load{
	{name: "1 KiB", body: 1 << 10, connections: 16},
	{name: "100 KiB", body: 100 << 10, connections: 8},
	{name: "1 MiB", body: 1 << 20, connections: 4},
	{name: "2-event streams, 1 connection", body: 1 << 10, events: 2, connections: 1},
	{name: "100-event streams", body: 1 << 10, events: 100, connections: 16},
	{name: "50 events, 2 ms apart", body: 1 << 10, events: 50, pause: 2 * time.Millisecond, connections: 32},
	{name: "250 events, 2 ms apart", body: 1 << 10, events: 250, pause: 2 * time.Millisecond, connections: 32},
}

type load struct {
	name        string
	body        int
	events      int
	pause       time.Duration
	connections int
}

// strategies are those of the subjects with telemetry: the first leaves nothing,
// the second reads live numbers.
const strategies = `"ai.models.filter(m, m.provider_id in ['nobody'])", "ai.models.filter(m, m.metrics.global.error_rate.total < 0.5)"`

func compare(ctx context.Context, rounds int, seconds float64, providers int, only string) error {
	dir, err := os.MkdirTemp("", "weirbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	envoyPath, err := envoy.Find(ctx, envoy.FindOptions{})
	if err != nil {
		return err
	}
	provider, err := startSelf(ctx, "provider", filepath.Join(dir, "provider.address"))
	if err != nil {
		return err
	}
	defer provider.stop()
	upstream, err := provider.address()
	if err != nil {
		return err
	}
	subjects := []*subject{}
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	for _, start := range []func() (*subject, error){
		func() (*subject, error) { return startBare(ctx, envoyPath, dir, upstream) },
		func() (*subject, error) { return startSmallest(ctx, envoyPath, dir, upstream) },
		func() (*subject, error) {
			return startWeir(ctx, "weir", envoyPath, dir, upstream, providers, "{disabled: true}", "")
		},
		func() (*subject, error) {
			return startWeir(ctx, "weir with all", envoyPath, dir, upstream, providers, "{access_log: access.log}",
				strategies)
		},
		func() (*subject, error) {
			return startWeir(ctx, "weir with stream ends", envoyPath, dir, upstream, providers, "{access_log: access.log, stream_end: true}",
				strategies)
		},
	} {
		s, err := start()
		if err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	subjects = append(subjects, subjects[2].held())

	chosen := slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return !strings.Contains(l.name, only) })
	results := map[string][]figures{}
	for round := range rounds + 1 { // the first warms up and is not counted
		for _, l := range chosen {
			for _, s := range subjects {
				f, err := s.measure(ctx, l, time.Duration(seconds*float64(time.Second)))
				if err != nil {
					return fmt.Errorf("%s, %s: %w", s.name, l.name, err)
				}
				if round > 0 {
					key := l.name + "/" + s.name
					results[key] = append(results[key], f)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round, rounds)
	}
	return report(chosen, subjects, results)
}

// report prints the medians, and each subject's CPU against those it is
// compared with: "weir" is the one without telemetry and strategies.
func report(loads []load, subjects []*subject, results map[string][]figures) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "load\tsubject\tCPU-s/1000\tof bare\tof smallest\tof weir\tfirst byte\tp50\tp99\treq/s\tRSS Envoy\tRSS processor")
	for _, l := range loads {
		bare, smallest, weir := results[l.name+"/"+subjects[0].name], results[l.name+"/"+subjects[1].name], results[l.name+"/"+subjects[2].name]
		for _, s := range subjects {
			rounds := results[l.name+"/"+s.name]
			of := func(f func(figures) float64) float64 {
				values := []float64{}
				for _, r := range rounds {
					values = append(values, f(r))
				}
				return median(values)
			}
			fmt.Fprintf(w, "%s\t%s\t%.3f\t%.2f\t%.2f\t%.2f\t%.2f ms\t%.2f ms\t%.2f ms\t%.0f\t%.0f MiB\t%.0f MiB\n", l.name, s.name,
				of(figures.cpu), ratio(rounds, bare, figures.cpu), ratio(rounds, smallest, figures.cpu), ratio(rounds, weir, figures.cpu),
				of(func(f figures) float64 { return f.first.Seconds() * 1000 }),
				of(func(f figures) float64 { return f.p50.Seconds() * 1000 }),
				of(func(f figures) float64 { return f.p99.Seconds() * 1000 }),
				of(func(f figures) float64 { return f.perSecond }),
				of(func(f figures) float64 { return f.rssEnvoy }),
				of(func(f figures) float64 { return f.rssProcessor }))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return reportEvents(loads, subjects, results)
}

// reportEvents prints what one more event of a paced stream costs: the
// difference between long and short ones, over the difference in events. What a
// request costs once drops out.
func reportEvents(loads []load, subjects []*subject, results map[string][]figures) error {
	paced := slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return l.pause == 0 })
	if len(paced) < 2 {
		return nil
	}
	short, long := paced[0], paced[len(paced)-1]
	perEvent := map[string][]float64{}
	for _, s := range subjects {
		for i, f := range results[long.name+"/"+s.name] {
			d := f.cpuPerThousand - results[short.name+"/"+s.name][i].cpuPerThousand
			perEvent[s.name] = append(perEvent[s.name], d/float64(long.events-short.events)*1000)
		}
	}
	fmt.Printf("\nCPU per event (from %s to %s):\n", short.name, long.name)
	for _, s := range subjects {
		var ratios []float64
		for i, v := range perEvent[s.name] {
			ratios = append(ratios, v/perEvent[subjects[0].name][i])
		}
		fmt.Printf("  %-13s  %.1f us, %.2f of bare\n", s.name, median(perEvent[s.name]), median(ratios))
	}
	return nil
}

// ratio is the median over rounds of the ratio of two figures, so that a
// change of the machine's speed from round to round cancels out.
func ratio(a, b []figures, f func(figures) float64) float64 {
	var ratios []float64
	for i := range a {
		ratios = append(ratios, f(a[i])/f(b[i]))
	}
	return median(ratios)
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
