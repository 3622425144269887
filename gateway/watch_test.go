package gateway

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFoldersOf(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"plain", "volume/..1/store", "volume/..2/store", "a/b/c"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, target := range map[string]string{
		"volume/..data": "..1", "volume/store": "..data/store", "absolute": filepath.Join(dir, "plain"),
		"up": "a/b/../../plain", "loop": "loop", "dangling": "nowhere/at/all",
	} {
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		path string
		want []string // below dir
	}{
		{"plain/file", []string{"plain"}},
		{"plain/missing/folder/file", []string{"plain"}},
		{"missing", []string{"."}},
		{"volume/store/key", []string{"volume", "volume/..1/store"}},
		{"absolute/file", []string{".", "plain"}},
		{"up/file", []string{".", "plain"}},
		{"dangling", []string{"."}},
		{"a/b/../b/c/file", []string{"a/b/c"}},
	}
	for _, c := range cases {
		got := foldersOf(filepath.Join(dir, c.path))
		var want []string
		for _, d := range c.want {
			want = append(want, filepath.Join(dir, d))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.path, diff)
		}
	}
	if got := foldersOf(filepath.Join(dir, "loop")); len(got) == 0 || got[0] != dir {
		t.Errorf("of a link to itself: %v", got)
	}
}
