package e2e

import (
	"testing"

	"weir/internal/gatewaytest"
)

func TestMain(m *testing.M) { gatewaytest.Main(m) }
