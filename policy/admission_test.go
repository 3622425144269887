package policy

import (
	"testing"

	"weir/identity"
)

// TestAdmitAllocations: an SDK's request is admitted without an allocation.
func TestAdmitAllocations(t *testing.T) {
	admit := admitted(t)
	if n := testing.AllocsPerRun(100, admit); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdmit(b *testing.B) {
	admit := admitted(b)
	b.ReportAllocs()
	for b.Loop() {
		admit()
	}
}

func admitted(t testing.TB) func() {
	p, keys := newWorld().loadAll(t, `
access_keys: [{name: app, value: weir-0123456789-abcdefghijkl}]
providers: [{id: a, base_url: http://a.internal}]
`)
	return func() {
		var a Arrival
		for i := range sdkHeaders {
			a.Header(sdkHeaders[i].Name, sdkHeaders[i].Value)
		}
		admission, err := p.Admit(&a, false, func(c string) (*identity.Key, error) { return p.Authenticate(keys.Index, c) })
		if err != nil || admission.Key == nil || admission.Length != 1024 {
			t.Fatalf("%+v %v", admission, err)
		}
	}
}
