package telemetry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFileReopens(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	const rounds, each = 20, 200
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range rounds * each {
			if _, err := fmt.Fprintf(f, "line %d\n", i); err != nil {
				t.Error(err)
			}
		}
	}()
	var reopening sync.WaitGroup
	for i := range rounds {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Error(err)
		}
		reopening.Go(func() { // while lines are written
			if reopened, err := f.Reopen(); !reopened || err != nil {
				t.Errorf("%v, %v", reopened, err)
			}
		})
		reopening.Wait()
	}
	<-written
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != rounds+1 {
		t.Fatalf("%v, %v", files, err)
	}
	seen := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			seen[line]++
		}
	}
	for i := range rounds * each {
		if n := seen[fmt.Sprintf("line %d\n", i)]; n != 1 {
			t.Fatalf("line %d is there %d times", i, n)
		}
	}
}

// What cannot be opened again stays open.
func TestFileStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "access.log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if reopened, err := f.Reopen(); reopened || err == nil {
		t.Errorf("%v, %v", reopened, err)
	}
	if _, err := f.Write([]byte("still here\n")); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir+".old", "access.log")); err != nil || string(text) != "still here\n" {
		t.Errorf("%q, %v", text, err)
	}
	// A pipe in its place is not waited for.
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if reopened, err := f.Reopen(); reopened || err == nil {
		t.Errorf("%v, %v", reopened, err)
	}
	null, err := OpenFile(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if reopened, err := null.Reopen(); reopened || err != nil {
		t.Errorf("a device: %v, %v", reopened, err)
	}
}
