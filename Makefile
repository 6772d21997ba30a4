# make build | demo | test | lint | bench | bench-big | interop | fuzz | soak | clean. Each works on a
# fresh Debian with Go, make and git; test, interop and demo say what else they install.

GO ?= go
TOOL = $(GO) tool -modfile=tools.mod

.PHONY: all build dns-lego demo test lint unit peers deps bench bench-big interop fuzz soak clean

all: build

build:
	$(GO) build -trimpath -o bin/vidimus ./cmd/vidimus
	$(GO) build -trimpath -o bin/vidimusd ./cmd/vidimusd

# The helper with all DNS providers of lego; it takes about three minutes the first
# time, so it is not part of build.
dns-lego:
	cd dns-lego && $(GO) build -trimpath -ldflags="-s -w" -o ../bin/vidimus-dns-lego .

# The main job from nothing, on loopback, with real processes.
demo: build
	@$(GO) run ./demo

# Everything: what the tests need from Debian, lint, unit tests, and the tests against
# real clients and servers.
test: export VIDIMUS_PEERS = required
test: deps lint unit dns-lego peers demo
	@echo "== fuzz tests, $(TESTFUZZTIME) each beyond the inputs that make unit has run"
	scripts/fuzz $(TESTFUZZTIME)

deps:
	@scripts/install-test-packages

lint:
	@echo "== gofmt, go vet, staticcheck"
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "run gofmt -w on:" $$files; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	cd dns-lego && $(GO) vet ./... && $$(cd .. && $(TOOL) -n staticcheck) ./...
	cd integration/interop/programs && $(GO) vet ./... && $$(cd ../../.. && $(TOOL) -n staticcheck) ./...

unit:
	@echo "== unit tests"
	$(GO) test -race ./cmd/... ./internal/...
	cd dns-lego && $(GO) test ./...

peers:
	@echo "== tests against real programs"
	VIDIMUS_PEERS=required $(GO) test -p 1 -timeout 12m ./integration/...
	@echo "== tests of the server, on PostgreSQL"
	VIDIMUS_PEERS=required VIDIMUS_TEST_DATABASE=postgres $(GO) test -timeout 12m ./integration/server

bench: build
	$(GO) run ./integration/bench -vidimus bin/vidimus -vidimusd bin/vidimusd

# vidimusd on a database of a million certificates (SQLite) and of ten million
# (PostgreSQL, 50 GB of disk) beside an empty one. BIG chooses: "-big-postgres 0" leaves
# PostgreSQL out, "-dir FOLDER" is where.
bench-big: build
	$(GO) run ./integration/bench -vidimus bin/vidimus -vidimusd bin/vidimusd -only big $(BIG)

# The clients that people use, each with all that it has, before vidimusd; writes the
# table of docs/interop.md. Some clients run as root only.
interop: deps
	VIDIMUS_PEERS=required $(GO) test ./integration/interop -run TestTable -count=1 -timeout 20m -v -args -table docs/interop.md

# Each fuzz test for FUZZTIME. There are some forty, so make test gives each less.
FUZZTIME ?= 10s
TESTFUZZTIME ?= 2s
fuzz:
	scripts/fuzz $(FUZZTIME)

# What takes long: kills and faults of vidimusd under load, on both databases, and then
# each fuzz test for SOAKTIME; with the defaults half an hour and two days.
SOAKTIME ?= 1h
SOAKKILLS ?= 200
SOAKTESTS = Test(Kills|Replicas|FullDisk|PostgreSQL|Clock|AValidationSurvives|ARevocationSurvives|DNSSECAndFaults)
soak: export VIDIMUS_PEERS = required
soak: export VIDIMUS_SOAK = $(SOAKKILLS)
soak: deps
	@echo "== kills of vidimusd under load, $(SOAKKILLS) each, full disks, databases that go and clocks that step: some half an hour"
	$(GO) test -count=1 -timeout 3h -v ./integration/server -run '$(SOAKTESTS)'
	@echo "== those that depend on the database, on PostgreSQL"
	VIDIMUS_TEST_DATABASE=postgres $(GO) test -count=1 -timeout 3h -v ./integration/server -run '$(SOAKTESTS)'
	@echo "== $$(git grep -h '^func Fuzz' | wc -l) fuzz tests, $(SOAKTIME) each"
	scripts/fuzz $(SOAKTIME)

clean:
	rm -rf bin
