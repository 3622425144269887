.DEFAULT_GOAL := help
SHELL := /bin/bash

# One way of building for the product and its tests: nothing is compiled twice,
# and no C compiler is needed.
export CGO_ENABLED := 0

# Fuzz targets run this long each.
FUZZTIME ?= 30s
# Arguments of the benchmark, such as BENCH="-rounds 9 -only 1-KiB".
BENCH ?=

.PHONY: help build run test check race e2e faults faults-table bench fuzz schema catalogue prometheus soak

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/weir.
	go build -o bin/weir ./cmd/weir

run: build ## Run the gateway on 127.0.0.1:8080 with a demo provider and what is found on this machine.
	bin/weir run

# Compiled before the tests: beside them it would take their CPU.
prometheus:
	@cd tools/prometheus && go build -tags remove_all_sd -o /dev/null github.com/prometheus/prometheus/cmd/prometheus

test: prometheus ## Run all tests, those with the real Envoy included.
	go test -timeout 15m ./...

check: ## Check format, vet, lint and module files.
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "gofmt would change: $$files"; exit 1; fi
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...
	go mod tidy -diff
	cd tools && go mod tidy -diff
	cd tools/prometheus && go mod tidy -diff

race: ## Run the tests of the packages under the race detector.
	CGO_ENABLED=1 go test -race -timeout 15m ./llm/... ./metadata/... ./policy/... ./extproc/... ./xds/... ./gateway/... ./telemetry/... ./demo/... ./internal/recorder/... ./internal/private/... ./internal/sample/...

e2e: prometheus ## Run only the end-to-end tests.
	go test -count=1 ./e2e/... ./examples/...

faults: ## Run every row of docs/faults.md, the faults of providers, against a real Envoy.
	go test -count=1 ./faults

faults-table: ## Write docs/faults.md: every fault, and what the client gets.
	go test -count=1 ./faults -update

schema: ## Write policy/config/schema.json, the schema of the configuration, from its Go types.
	go test ./policy/config -run '^TestSchema$$' -update

# The version of the Python package litellm whose price table is read.
LITELLM ?= 1.110.2
catalogue: ## Write policy/catalogue/models.json, the models of the built-in providers, from a published price table.
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$$dir" litellm==$(LITELLM) && \
	(cd tools && go run ./catalogue -version $(LITELLM) -date $$(date -u +%F) "$$dir"/litellm-*.whl) > "$$dir/models.json" && \
	cp "$$dir/models.json" policy/catalogue/models.json

bench: ## Compare with the bare Envoy and with the smallest possible external processor.
	go test -run '^$$' -bench . -benchmem ./policy ./policy/tokens ./llm/body ./extproc/wire
	go run ./bench $(BENCH)

fuzz: ## Run every fuzz target for FUZZTIME.
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

soak: ## Run ten minutes of mixed load with reloads, kills and hostile clients.
	go test -count=1 -v -timeout 30m ./soak -duration 10m
