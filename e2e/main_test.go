package e2e

import (
	"flag"
	"testing"

	"weir/internal/gatewaytest"
)

func TestMain(m *testing.M) {
	// Parallel tests wait, for the most part. The command line may say another number.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	gatewaytest.Main(m)
}
