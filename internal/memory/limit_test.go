package memory

import (
	"runtime"
	"testing"
	"testing/fstest"
)

func TestAvailable(t *testing.T) {
	const (
		machine = "MemTotal:        8388608 kB\nMemFree: 1 kB\n"
		v2      = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
		v1      = "36 25 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n37 25 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	)
	for _, c := range []struct {
		name                       string
		meminfo, mountinfo, cgroup string
		files                      map[string]string
		want                       Limit
	}{
		{"nothing is known", "", "", "", nil, Limit{}},
		{"no control group", machine, "", "", nil, Limit{Bytes: 8 << 30}},
		{"version 2", machine, v2, "0::/system.slice/weir.service\n",
			map[string]string{"sys/fs/cgroup/system.slice/weir.service/memory.max": "2147483648\n"}, Limit{2 << 30, true}},
		{"version 2, no limit", machine, v2, "0::/a\n", map[string]string{"sys/fs/cgroup/a/memory.max": "max\n"}, Limit{Bytes: 8 << 30}},
		{"version 2, a parent's limit is lower", machine, v2, "0::/a/b\n",
			map[string]string{"sys/fs/cgroup/a/memory.max": "1073741824\n", "sys/fs/cgroup/a/b/memory.max": "2147483648\n"}, Limit{1 << 30, true}},
		{"version 2, in a container", machine, v2, "0::/\n", map[string]string{"sys/fs/cgroup/memory.max": "536870912\n"}, Limit{512 << 20, true}},
		{"version 2, a path of the host", machine, "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/abc\n",
			map[string]string{"sys/fs/cgroup/memory.max": "536870912\n"}, Limit{512 << 20, true}},
		{"version 2, a path outside of what is shown", machine, "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/../def\n",
			map[string]string{"sys/fs/cgroup/memory.max": "536870912\n"}, Limit{512 << 20, true}},
		{"version 1", machine, v1, "5:cpu:/x\n4:memory:/weir\n0::/\n",
			map[string]string{"sys/fs/cgroup/memory/weir/memory.limit_in_bytes": "1073741824\n"}, Limit{1 << 30, true}},
		{"version 1, no limit", machine, v1, "4:memory:/weir\n",
			map[string]string{"sys/fs/cgroup/memory/weir/memory.limit_in_bytes": "9223372036854771712\n"}, Limit{Bytes: 8 << 30}},
		{"both, the lower one", machine, v1 + v2, "4:memory:/weir\n0::/weir\n",
			map[string]string{"sys/fs/cgroup/memory/weir/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/weir/memory.max": "536870912\n"}, Limit{512 << 20, true}},
		{"more than the machine has", machine, v2, "0::/a\n", map[string]string{"sys/fs/cgroup/a/memory.max": "17179869184\n"}, Limit{Bytes: 8 << 30}},
		{"no text of these files", machine, "x y z\n", "0::\n1:2\n", map[string]string{"sys/fs/cgroup/memory.max": "1"}, Limit{Bytes: 8 << 30}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range map[string]string{"proc/meminfo": c.meminfo, "proc/self/mountinfo": c.mountinfo, "proc/self/cgroup": c.cgroup} {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			for name, text := range c.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := available(root); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAvailableHere(t *testing.T) {
	if got := Available(); runtime.GOOS == "linux" && got.Bytes < 64<<20 {
		t.Errorf("%+v", got)
	}
}
