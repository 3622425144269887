// Package memory finds out how much memory the process may use: the limit of
// its control group, or the machine's memory.
package memory

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// Limit is how much memory the process may use.
type Limit struct {
	// Bytes is 0 if nothing is known, as on systems without /proc.
	Bytes uint64
	// Cgroup reports whether a control group sets the limit. The memory of a
	// machine is shared with everything else that runs there.
	Cgroup bool
}

// Available returns the lowest limit of the control groups of this process, of
// version 2 or 1, and of the machine.
func Available() Limit { return available(os.DirFS("/")) }

func available(root fs.FS) Limit {
	machine := meminfo(root)
	group := cgroups(root)
	if group > 0 && (machine == 0 || group < machine) {
		return Limit{Bytes: group, Cgroup: true}
	}
	return Limit{Bytes: machine}
}

// meminfo returns MemTotal of /proc/meminfo.
func meminfo(root fs.FS) uint64 {
	for line := range strings.Lines(read(root, "proc/meminfo")) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			if f := strings.Fields(rest); len(f) == 2 && f[1] == "kB" {
				n, _ := strconv.ParseUint(f[0], 10, 54)
				return n << 10
			}
		}
	}
	return 0
}

// cgroups returns the lowest memory limit of the control groups that the
// process is in, and of their parents; 0 if there is none.
func cgroups(root fs.FS) uint64 {
	lowest := uint64(0)
	mounts := mountsOf(read(root, "proc/self/mountinfo"))
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		// hierarchy-ID:controller-list:path, see cgroups(7).
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var m mount
		var file string
		switch {
		case fields[0] == "0" && fields[1] == "":
			m, file = mounts.v2, "memory.max"
		case has(fields[1], "memory"):
			m, file = mounts.v1, "memory.limit_in_bytes"
		default:
			continue
		}
		if m.point == "" {
			continue
		}
		for _, dir := range m.folders(fields[2]) {
			n, err := strconv.ParseUint(strings.TrimSpace(read(root, path.Join(dir, file))), 10, 64)
			if err == nil && n > 0 && (lowest == 0 || n < lowest) { // "max" in version 2: no limit
				lowest = n
			}
		}
	}
	if lowest >= 1<<60 { // how version 1 writes that there is no limit
		return 0
	}
	return lowest
}

// mount is where a hierarchy of control groups can be read.
type mount struct {
	point string // without the leading slash
	root  string // the group that is shown at point
}

// folders returns the folder of a group and those of its parents. In a
// container the group's path may be one of the host that is not shown: then
// the root of the mount is the container's own group.
func (m mount) folders(group string) []string {
	rest, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/"))
	if !ok || strings.Contains(rest, "..") {
		rest = "/"
	}
	var out []string
	for dir := path.Join("/", rest); ; dir = path.Dir(dir) {
		out = append(out, path.Join(m.point, dir))
		if dir == "/" {
			return out
		}
	}
}

type mounts struct{ v1, v2 mount }

// mountsOf reads /proc/self/mountinfo, see proc(5):
//
//	36 35 98:0 /root /point rw,noatime master:1 - type source options
func mountsOf(info string) mounts {
	var out mounts
	for line := range strings.Lines(info) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		m := mount{point: strings.TrimPrefix(left[4], "/"), root: left[3]}
		switch {
		case right[0] == "cgroup2" && out.v2.point == "":
			out.v2 = m
		case right[0] == "cgroup" && has(right[2], "memory") && out.v1.point == "":
			out.v1 = m
		}
	}
	return out
}

// has reports whether a comma-separated list has a word.
func has(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// read returns the text of a file, "" if it cannot be read.
func read(root fs.FS, name string) string {
	b, _ := fs.ReadFile(root, name)
	return string(b)
}
