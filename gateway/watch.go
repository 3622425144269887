package gateway

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files must be unchanged before they are read: editors and
	// Kubernetes write in several steps.
	settle = 100 * time.Millisecond
	// longestSettle bounds that wait, for folders in which something always changes.
	longestSettle = 2 * time.Second
)

// inputs are the files that the last load of the configuration tried to read. A missing
// file is one of them: it may appear.
type inputs struct {
	mu      sync.Mutex
	files   []string
	changed chan struct{} // of capacity 1
}

func (in *inputs) set(files []string) {
	in.mu.Lock()
	in.files = files
	in.mu.Unlock()
	select {
	case in.changed <- struct{}{}:
	default:
	}
}

// folders returns the folders in which a change can change an input.
func (in *inputs) folders() map[string]bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	dirs := map[string]bool{}
	for _, file := range in.files {
		for _, dir := range foldersOf(file) {
			dirs[dir] = true
		}
	}
	return dirs
}

// watch asks for a reload when an input changes. It watches folders, because files are
// often replaced rather than written.
func (g *Gateway) watch(ctx context.Context) error {
	if !g.options.Watch {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", g.options.ConfigFile, err)
	}
	defer watcher.Close()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	var since time.Time // of the first event that is not handled yet
	changed := func() {
		if since.IsZero() {
			since = time.Now()
		}
		quiet.Reset(min(settle, time.Until(since.Add(longestSettle))))
	}
	for {
		// A file may have changed after it was read and before its folder was
		// watched.
		if follow(watcher, g.loader.inputs.folders()) {
			changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.loader.inputs.changed:
		case <-watcher.Events:
			changed()
		case err := <-watcher.Errors:
			g.log.Warn("watching files", "reason", err)
			changed() // events may have been lost
		case <-quiet.C:
			since = time.Time{}
			select {
			case g.reloading.changed <- struct{}{}:
			default:
			}
		}
	}
}

// follow watches these folders and no others. It reports whether one is new. The
// watcher itself drops a folder that is deleted or moved.
func follow(watcher *fsnotify.Watcher, dirs map[string]bool) (added bool) {
	watched := map[string]bool{}
	for _, dir := range watcher.WatchList() {
		watched[dir] = true
		if !dirs[dir] {
			_ = watcher.Remove(dir)
		}
	}
	for dir := range dirs {
		if !watched[dir] && watcher.Add(dir) == nil {
			added = true
		}
	}
	return added
}

// foldersOf returns the folders in which a change can make a path lead to another
// file: the folder of the file, and those of the symbolic links on the way to it.
// Kubernetes updates what it mounts by replacing such a link. If a part of the path does
// not exist, the last one is the folder in which it would be created.
func foldersOf(path string) []string {
	const maxLinks = 40 // Linux's limit
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	dirs := map[string]bool{}
	at, links := "/", 0
	for rest := steps(path); len(rest) > 0; {
		step := rest[0]
		rest = rest[1:]
		next := filepath.Join(at, step)
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			dirs[at], rest = true, nil
		case info.Mode().Type() == os.ModeSymlink && links < maxLinks:
			links++
			dirs[at] = true
			target, err := os.Readlink(next)
			if err != nil {
				break // it has just been removed: its folder is watched
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			rest = slices.Concat(steps(target), rest)
		case len(rest) == 0:
			dirs[at] = true
		default:
			at = next
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}

// steps returns the names in a path; ".." is kept.
func steps(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}
