# The one entry point, for people and for CI.  `make help` lists what there is.

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
bindir ?= $(PREFIX)/bin
datadir ?= $(PREFIX)/share
mandir ?= $(datadir)/man
# Where Debian keeps the libraries of this architecture; the broker's own plugins are there too.
libdir ?= $(PREFIX)/lib$(if $(MULTIARCH),/$(MULTIARCH))
MULTIARCH = $(shell dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || $(CC) -print-multiarch 2>/dev/null)

# The brokers that the tests run against; fewer are quicker: make test BROKERS=2.0.11
BROKERS ?= 2.0.11 2.0.21 2.1
ALL_BROKERS := 2.0.11 2.0.21 2.1
# A test for a broker is named on_2_0_11, on_2_0_21 or on_2_1; those of brokers not asked for are left out.
empty :=
space := $(empty) $(empty)
SKIP = $(foreach broker,$(filter-out $(BROKERS),$(ALL_BROKERS)),--skip on_$(subst .,_,$(broker)))

TARGET := $(or $(CARGO_TARGET_DIR),target)
PLUGIN := $(TARGET)/release/libcitronella.so
COMMAND := $(TARGET)/release/citronella
# Man pages and completions are made, and judged, by tests of the command.
PAGES = CITRONELLA_PAGES='$(abspath $(TARGET))/pages' $(CARGO) test --quiet --locked --bin citronella
# What `make release`, `make deb` and `make test-arm` are for: amd64, arm64 or armhf.
OWN_ARCH := $(shell dpkg --print-architecture 2>/dev/null)
ARCH ?= $(OWN_ARCH)
# What packages for these architectures are made with.
tools_for = $(if $(filter-out $(OWN_ARCH),$(1)),cross-deps,package-deps)
# The architectures that the roots of `make test-package` have: arm64 of arm64/bookworm, this machine's of bookworm.
PACKED = $(or $(sort $(foreach suite,$(SUITES),$(if $(findstring /,$(suite)),$(patsubst %/,%,$(dir $(suite))),$(ARCH)))),$(ARCH))
# How long `make fuzz` stays with each target.
SECONDS ?= 60
# How often `make faults` changes the files of each broker, and how long `make soak` runs.
RELOADS ?= 1000
MINUTES ?= 60

.DEFAULT_GOAL := build
.PHONY: help deps test-deps package-deps cross-deps brokers build release size test check fmt clippy doc header exports bench bench-broker \
  bench-storm bench-changes bench-login bench-tls bench-import faults soak fuzz mutants demo man completions install deb dist footprint licences test-package test-arm reproduce release-check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

deps: ## install what building and the demo need (Debian; only what is missing)
	@tests/host/deps

test-deps: ## the same and what only the tests need
	@tests/host/deps test
	@tests/host/judges

brokers: test-deps ## fetch Debian's other Mosquitto releases for the tests
	@tests/brokers/fetch $(BROKERS)

build: deps ## the plugin and the command, for debugging
	$(CARGO) build --locked

release: deps ## the plugin and the command, as they are installed
	@.packaging/build >/dev/null
	@$(MAKE) --no-print-directory size

size: ## how big the release build is, and what it must not carry
	@tests/host/judge-release $(PLUGIN) $(COMMAND)

test: test-deps brokers ## every test, on every broker (BROKERS=2.0.11: the quick run)
	$(CARGO) test --locked $(if $(SKIP),-- $(SKIP))

check: test-deps fmt clippy doc header exports ## formatting, lints, documentation, the C header, the exported symbols

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --quiet

header:
	$(CC) -fsyntax-only -Wall -Wextra -Werror -Iinclude -x c include/citronella_broker.h

exports:
	$(CARGO) build --locked --lib
	@tests/host/judge-exports $(TARGET)/debug/libcitronella.so

bench: test-deps brokers release ## what an access check costs, beside Mosquitto's own plugins
	@tests/bench/run $(PLUGIN) $(FLEETS)

bench-broker: test-deps brokers release ## what a message costs a whole broker with 1,000 rules, beside none and Mosquitto's own plugins
	@tests/bench/broker $(PLUGIN)

bench-storm: test-deps brokers release ## live traffic while 1,000 clients with passwords connect at once, and during SIGHUP
	@tests/bench/storm $(PLUGIN)

bench-changes: test-deps brokers release ## live traffic while a registry of 100,000 is replaced, and how soon a revoked device is gone
	@tests/bench/changes $(PLUGIN)

bench-login: test-deps brokers release ## what a log-in costs through the plugin's callback, by certificate and by a password that was verified before
	@tests/bench/login $(COMMAND) $(PLUGIN)

bench-tls: test-deps brokers release ## what a connection over TLS costs a whole broker, with our certificates and with the guides' RSA-2048, and a message afterwards
	@tests/bench/tls $(COMMAND) $(PLUGIN)

bench-import: test-deps brokers release ## certificates a second in one `device import` of 10,000, beside openssl in a loop (FLEETS='1000 10000')
	@tests/bench/import $(COMMAND) $(PLUGIN)

fuzz: deps ## inputs that nobody thought of, for each target so long (SECONDS=60; TARGETS=topics for one)
	@tests/fuzz/run $(SECONDS) $(TARGETS)

faults: test-deps brokers release ## failing disks, killed brokers and commands (KILLS=200), changes under traffic (RELOADS=1000; BROKERS=2.1)
	CITRONELLA_PLUGIN='$(abspath $(PLUGIN))' CITRONELLA_RELOADS=$(RELOADS) CITRONELLA_TEST_KILLS=$(or $(KILLS),200) \
	  $(CARGO) test --locked --test it -- \
	  broker_faults files_that_change_all_the_while cli_device_import::a_kill --nocapture $(SKIP)

soak: test-deps brokers release ## connects, publishes, reloads and kicks for long: memory after 5 minutes and at the end (MINUTES=60)
	CITRONELLA_PLUGIN='$(abspath $(PLUGIN))' CITRONELLA_SOAK_MINUTES=$(MINUTES) $(CARGO) test --locked --test it -- \
	  a_broker_that_runs_for_long --nocapture $(SKIP)

mutants: deps brokers ## whether the tests notice changes to the rules' code, 40 minutes (FILES='src/policy/list/*.rs', SHARD=1/20, ONLY=REGEX, JOBS=2)
	@SHARD='$(SHARD)' ONLY='$(ONLY)' JOBS='$(JOBS)' tests/mutants/run $(foreach file,$(FILES),'$(file)')

demo: deps ## the whole story, in a temporary directory (KEEP=1 leaves the broker running)
	$(CARGO) build --locked
	@KEEP=$(KEEP) tests/demo/run

man: ## the man pages, from the same definitions as --help, into target/pages/man
	@$(PAGES) pages::every_command_has_a_man_page > /dev/null

completions: ## what bash, zsh and fish offer, into target/pages/completions
	@$(PAGES) pages::the_completions > /dev/null

install: ## copy the release build to DESTDIR and PREFIX, and the pages of `make man completions` (first: make release)
	install -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(libdir)/mosquitto'
	install -m 755 $(COMMAND) '$(DESTDIR)$(bindir)/citronella'
	install -m 644 $(PLUGIN) '$(DESTDIR)$(libdir)/mosquitto/mosquitto_citronella.so'
	@tests/host/install-pages $(TARGET)/pages '$(DESTDIR)$(mandir)' '$(DESTDIR)$(datadir)'

package-deps:
	@tests/host/deps test package

cross-deps: package-deps
	@tests/host/deps cross arm

deb: $(call tools_for,$(ARCH)) ## the Debian package (ARCH=arm64 or ARCH=armhf for a Raspberry Pi)
	@.packaging/deb $(ARCH)

footprint: $(call tools_for,$(ARCHES)) ## what the package takes on the disk and in memory (ARCHES='amd64 arm64': of packages that are made)
	@tests/package/footprint $(ARCHES)

test-package: $(call tools_for,$(PACKED)) ## the package in clean Debian roots: install, use, upgrade, purge (as root; SUITES=arm64/bookworm: by qemu)
	@for arch in $(PACKED); do .packaging/deb $$arch >/dev/null || exit; done
	@tests/package/run $(SUITES)

test-arm: cross-deps ## the brokers' tests on arm64 and armhf, by qemu (ARCHES=arm64: only that; QUICK=1: what passes between broker and plugin)
	@QUICK='$(QUICK)' BROKERS='$(BROKERS)' tests/package/arm $(ARCHES)

licences: ## the dependencies' licences, sources and duplicates
	@.packaging/licences

dist: cross-deps ## what a release publishes, in target/dist
	@.packaging/dist

reproduce: $(call tools_for,$(ARCH)) ## build the package twice, in two folders, and compare
	@.packaging/reproduce $(ARCH)

release-check: check test test-package test-arm licences dist footprint reproduce ## everything that a release has to pass

clean: ## remove everything that was built or fetched
	$(CARGO) clean
