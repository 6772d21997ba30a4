# make build | demo | test | lint | bench | bench-big | interop | fuzz | soak | clean. Each works on a
# fresh Debian with Go, make and git; test, interop and demo say what else they install.

GO ?= go
TOOL = $(GO) tool -modfile=tools.mod

# Builds and tests are compiled with one set of flags, so that each package is once.
export GOFLAGS := $(shell $(GO) env GOFLAGS) -trimpath

.PHONY: all build dns-lego demo test lint unit modules peers peers-server peers-postgres \
	peers-client peers-portal peers-dns deps bench bench-big interop fuzz soak clean

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
# real clients and servers. The latter wait more than they compute (certbot sleeps), so
# they run beside all that only computes, which gives way to them.
test: export VIDIMUS_PEERS = required
test: deps lint
	$(MAKE) --no-print-directory -k -j 5 --output-sync=target peers unit modules fuzz FUZZTIME=$(TESTFUZZTIME)
	$(MAKE) --no-print-directory demo

deps:
	@scripts/install-test-packages

lint:
	@echo "== gofmt, go vet, staticcheck"
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "run gofmt -w on:" $$files; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

# What computes gives way to what waits, for a test may have a deadline of its own.
GIVEWAY = nice -n 10

unit:
	@echo "== unit tests"
	$(GIVEWAY) $(GO) test -vet=off -race ./cmd/... ./internal/...

modules: dns-lego
	@echo "== the modules within this one: go vet, staticcheck, unit tests"
	cd dns-lego && $(GIVEWAY) $(GO) vet ./... && $(GIVEWAY) $$(cd .. && $(TOOL) -n staticcheck) ./... && $(GIVEWAY) $(GO) test -vet=off ./...
	cd integration/interop/programs && $(GIVEWAY) $(GO) vet ./... && $(GIVEWAY) $$(cd ../../.. && $(TOOL) -n staticcheck) ./...

# The tests against real programs are run each time: their results depend on programs of
# which go test knows nothing.
PEERS = $(GO) test -vet=off -count=1 -timeout 12m
peers: export VIDIMUS_PEERS = required
peers: peers-server peers-postgres peers-client peers-portal peers-dns

peers-server:
	@echo "== tests of the server against real programs"
	$(PEERS) ./integration/server ./integration/interop ./integration/sources

peers-postgres:
	@echo "== tests of the server, on PostgreSQL"
	VIDIMUS_TEST_DATABASE=postgres $(PEERS) ./integration/server

peers-client:
	@echo "== tests of the client against real programs"
	$(PEERS) ./integration/client ./integration/differential ./integration/faults ./integration/login

peers-portal:
	@echo "== tests of the portal in Chromium"
	$(PEERS) ./integration/portal

peers-dns: dns-lego
	@echo "== tests of DNS providers against real programs"
	$(PEERS) ./integration/dns

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

# What each fuzz test gets in make test: there are fifty of them, for the two cores that
# all other tests want too.
TESTFUZZTIME ?= 2s

# Each fuzz test for FUZZTIME, as many side by side as there are processors.
FUZZTIME ?= 10s
fuzz:
	$(GIVEWAY) scripts/fuzz $(FUZZTIME)

# What takes long: kills and faults of vidimusd under load, on both databases, and then
# each fuzz test for SOAKTIME; with the defaults half an hour and, on two cores, a day.
SOAKTIME ?= 1h
SOAKKILLS ?= 200
SOAKTESTS = Test(Kills|Replicas|FullDisk|PostgreSQL|Clock|AValidationSurvives|ARevocationSurvives|DNSSECAndFaults|TheUnits)
soak: export VIDIMUS_PEERS = required
soak: export VIDIMUS_SOAK = $(SOAKKILLS)
soak: deps
	@echo "== kills of vidimusd under load, $(SOAKKILLS) each, full disks, databases that go and clocks that step: some half an hour"
	$(GO) test -count=1 -timeout 3h -v ./integration/server -run '$(SOAKTESTS)'
	@echo "== those that depend on the database, on PostgreSQL"
	VIDIMUS_TEST_DATABASE=postgres $(GO) test -count=1 -timeout 3h -v ./integration/server -run '$(SOAKTESTS)'
	@echo "== 100,000 hosts from LDAP"
	$(GO) test -count=1 -timeout 30m -v ./integration/sources -run TestLDAP
	@echo "== $$(git grep -h '^func Fuzz' | wc -l) fuzz tests, $(SOAKTIME) each"
	scripts/fuzz $(SOAKTIME)

clean:
	rm -rf bin
