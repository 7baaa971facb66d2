# SPDX-License-Identifier: Apache-2.0
# Everything that is built goes to bin/, and a release to dist/.
GO      ?= go
OUT     ?= bin
PREFIX  ?= /usr/local
FUZZTIME ?= 30s

# The version is said once, in the command's source. What is built of the same sources
# is the same: the date in it is that of the changelog.
VERSION := $(shell sed -n 's/^const version = "\(.*\)"/\1/p' cmd/vmwrite/version.go)
DATE    := $(shell sed -n 's/^\#\# .* - //p' CHANGELOG.md | head -1)

# The go command compiles the standard library once with this flag and once without it,
# for each architecture: all that is built and checked here has it.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

# The command is one static file.
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: demo
demo: command ## build the command and show it at work
	@bin/vmwrite demo

.PHONY: build
build: command share ## build all that make install copies: bin/
	@compiler=$$($(GO) env CC); \
	if command -v $${compiler%% *} >/dev/null; then \
		$(MAKE) --no-print-directory lib; \
	else \
		echo "built without the C library, which needs a C compiler ($$compiler)"; \
	fi

.PHONY: command
command: ## build the command alone: bin/vmwrite
	@$(BUILD) -o $(OUT)/vmwrite ./cmd/vmwrite

# They are made on this machine, whichever the command is for.
.PHONY: share
share: ## make the manual pages and the completions: bin/share
	@rm -rf $(OUT)/share
	@GOOS= GOARCH= CGO_ENABLED=0 $(GO) run -tags share ./cmd/vmwrite $(OUT)/share $(DATE)
	@install -D -m 0644 -t $(OUT)/share/man/man7 man/vmwrite-formats.7

# Mach's C interface. Programs find its headers below include/machcompat, by
# pkg-config: other software takes a <mach/mach.h> in the usual place for a Mac.
SOVERSION  := 0
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include/machcompat
BUILD_LIB  := CGO_ENABLED=1 $(GO) build -buildvcs=auto
LINK_SHARED = -Wl,-soname,libmachcompat.so.$(SOVERSION) -Wl,--version-script=$(CURDIR)/cmd/libmachcompat/exports.map

.PHONY: lib
lib: ## build the C library alone: bin/libmachcompat.so, .a
	@mkdir -p $(OUT)
	@$(BUILD_LIB) -buildmode=c-shared -ldflags '-extldflags "$(LINK_SHARED)"' -o $(OUT)/libmachcompat.so ./cmd/libmachcompat
	@$(BUILD_LIB) -buildmode=c-archive -o $(OUT)/libmachcompat.a ./cmd/libmachcompat
	@rm -f $(OUT)/libmachcompat.h # of cgo; the headers are in include
	@ln -sf libmachcompat.so $(OUT)/libmachcompat.so.$(SOVERSION)

# Nothing is built by those that install: root may have no Go, and should not run it.
# $(DESTDIR) stands for the root of the system in which the files will be.
.PHONY: install
install: install-command ## copy what make build built below $(PREFIX)
	@if [ -e $(OUT)/libmachcompat.so ]; then \
		$(MAKE) --no-print-directory install-lib; \
	else \
		echo "installed without the C library: $(OUT)/libmachcompat.so was not built"; \
	fi

# $(call built,FILE,TARGET) ends with an error unless the file is there.
built = @[ -e $(1) ] || { echo "$(1) is missing: run make $(2) first" >&2; exit 1; }
# $(call copy,FOLDER,TO) copies all files of a folder.
copy = cd $(1) && find * -type f -exec install -D -m 0644 {} $(abspath $(2))/{} \;

.PHONY: install-command
install-command:
	$(call built,$(OUT)/vmwrite,build)
	$(call built,$(OUT)/share,build)
	install -D -m 0755 $(OUT)/vmwrite $(DESTDIR)$(PREFIX)/bin/vmwrite
	$(call copy,$(OUT)/share,$(DESTDIR)$(PREFIX)/share)

.PHONY: install-lib
install-lib:
	$(call built,$(OUT)/libmachcompat.so,lib)
	install -D -m 0755 $(OUT)/libmachcompat.so $(DESTDIR)$(LIBDIR)/libmachcompat.so.$(SOVERSION)
	ln -sf libmachcompat.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libmachcompat.so
	install -D -m 0644 -t $(DESTDIR)$(LIBDIR) $(OUT)/libmachcompat.a
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
		cmd/libmachcompat/machcompat.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/machcompat.pc
	$(call copy,include,$(DESTDIR)$(INCLUDEDIR))
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man3 man/machcompat.3
	@$(if $(DESTDIR)$(filter-out /usr /usr/local,$(PREFIX)),,echo "run ldconfig as root, so that programs find $(LIBDIR)/libmachcompat.so.$(SOVERSION)")

.PHONY: uninstall
uninstall: ## remove what make install copied
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/vmwrite $(addprefix share/, \
		bash-completion/completions/vmwrite zsh/site-functions/_vmwrite fish/vendor_completions.d/vmwrite.fish \
		man/man1/vmwrite.1 man/man1/vmwrite-*.1 man/man3/machcompat.3 man/man7/vmwrite-formats.7))
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libmachcompat.so.$(SOVERSION) libmachcompat.so libmachcompat.a pkgconfig/machcompat.pc)
	cd include && find * -type f -exec rm -f $(abspath $(DESTDIR)$(INCLUDEDIR))/{} \;
	@cd include && find * -depth -type d -exec rmdir $(abspath $(DESTDIR)$(INCLUDEDIR))/{} \; 2>/dev/null || true
	@rmdir $(DESTDIR)$(INCLUDEDIR) 2>/dev/null || true

.PHONY: image
image: command ## build the container image vmwrite from bin/vmwrite
	docker build --target prebuilt -t vmwrite .

# The release: of each architecture an archive, a .deb, a .rpm and the SBOM of its command.
# The C library is in none: it is built where it is used.
TOOL := $(GO) tool -modfile=packaging/go.mod

.PHONY: dist
dist: export SOURCE_DATE_EPOCH = $(shell date -u -d $(DATE) +%s)
dist: share ## build the release: dist/
	@rm -rf $(OUT)/dist dist && mkdir dist
	@for arch in amd64 arm64; do \
		name=vmwrite-$(VERSION)-linux-$$arch; folder=$(OUT)/dist/$$name; \
		GOARCH=$$arch $(BUILD) -o $$folder/vmwrite ./cmd/vmwrite && \
		cp -r $(OUT)/share LICENSE README.md CHANGELOG.md SECURITY.md docs $$folder && chmod -R a=rX,u+w $$folder && \
		tar -C $(OUT)/dist --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$$SOURCE_DATE_EPOCH -c $$name | gzip -9n > dist/$$name.tar.gz && \
		$(TOOL) cyclonedx-gomod bin -json -std -noserial -notimestamp -version v$(VERSION) -output dist/$$name.cdx.json $$folder/vmwrite && \
		for format in deb rpm; do \
			ARCH=$$arch VERSION=$(VERSION) FOLDER=$$folder $(TOOL) nfpm package --config packaging/nfpm.yaml --packager $$format --target dist || exit; \
		done || exit; \
	done
	@cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

# Each runs in a directory for the programs that the packages share: test/run. No
# machine is so slow that it reaches the time limit: only what hangs does.
RUN_TESTS := test/run $(GO) test -count=1 -timeout 60m
PACKAGES  := ./test/... ./cmd/... ./pkg/... ./internal/... ./examples/...
# The other packages test programs, which are built without the race detector.
RACE_PACKAGES := ./test/adversarial ./test/game ./cmd/... ./pkg/... ./internal/...

.PHONY: test
test: command ## build, and run every test once
	@$(RUN_TESTS) -vet=off $(PACKAGES)

.PHONY: check
check: lint check-man cross test-full test-race test-386 test-bench check-kernels ## all that CI checks

# What says whose it is in its first lines; the rest are documents, data and lists.
SOURCES := '*.go' '*.c' '*.s' '*.h' '*.map' '*.py' '*.yml' '*.yaml' '*.pc.in' '*Dockerfile' Makefile \
	.ci/run man test/run test/lacks test/kernels/init

.PHONY: lint
lint: ## check the format, the licence lines, go vet, staticcheck
	@bare=$$(git grep -L 'SPDX-License-Identifier: Apache-2.0' -- $(SOURCES) 2>/dev/null); \
	if [ -n "$$bare" ]; then echo "no SPDX-License-Identifier: $$bare"; exit 1; fi
	@unformatted=$$(gofmt -s -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ $$? != 0 ] || [ -n "$$unformatted" ]; then echo "gofmt -s: $$unformatted"; exit 1; fi
	$(GO) vet ./... && $(GO) vet -tags share ./cmd/vmwrite
	$(GO) tool staticcheck ./... && $(GO) tool staticcheck -tags share ./cmd/vmwrite

.PHONY: check-man
check-man: share ## check the manual pages with mandoc
	@if command -v mandoc >/dev/null; then \
		mandoc -T lint -W warning man/* $(OUT)/share/man/man1/*; \
	else \
		echo "skipped: mandoc is not installed"; [ -z "$${VMWRITE_TEST_MAY_LACK+set}" ]; \
	fi

.PHONY: test-race
test-race: ## run every test of a package's own code once with the race detector
	$(RUN_TESTS) -race -vet=off $(RACE_PACKAGES)

# EFFORT=long gives each storm and each kind of kill 2 minutes instead of 3 seconds.
EFFORT ?= ci

.PHONY: test-full
test-full: ## run every case of every test at its full size, storms and kills at length
	VMWRITE_TEST_EFFORT=$(EFFORT) $(RUN_TESTS) -vet=off $(PACKAGES)

.PHONY: integration
integration: ## run all tests in containers
	VMWRITE_TEST_EFFORT=$(EFFORT) $(RUN_TESTS) ./test/integration

.PHONY: cross
cross: ## build and vet for every architecture
	@for arch in amd64 arm64 386; do \
		echo "GOARCH=$$arch build, vet"; \
		GOARCH=$$arch CGO_ENABLED=0 $(GO) build ./... && GOARCH=$$arch CGO_ENABLED=0 $(GO) vet ./... || exit 1; \
	done

.PHONY: test-386
test-386: export GOARCH := 386
test-386: export CGO_ENABLED := 0
test-386: ## run the library's tests, and those of the command's parsers, as a 32-bit program
	@mkdir -p bin && $(GO) build -o bin/target-386 ./internal/testtarget/target
	@if bin/target-386 </dev/null >/dev/null 2>&1; then \
		if [ "$${VMWRITE_TEST_MAY_LACK+set}" ]; then export VMWRITE_TEST_MAY_LACK="$$VMWRITE_TEST_MAY_LACK,64-bit tests"; fi; \
		$(RUN_TESTS) -vet=off ./pkg/... && \
		$(RUN_TESTS) -vet=off ./cmd/vmwrite -run 'Parse|Encod|Fuzz|Numbers'; \
	else \
		echo "skipped: this machine does not run 32-bit programs"; \
		case ",$${VMWRITE_TEST_MAY_LACK-386}," in *,386,*) ;; *) exit 1 ;; esac; \
	fi

# KERNELS names machines of test/kernels/matrix.txt: KERNELS="amd64-6.1 arm64-6.12".
.PHONY: test-kernels
test-kernels: ## run the tests on other kernels and on arm64, in emulated machines
	@$(GO) run ./test/kernels $(KERNELS)

.PHONY: check-kernels
check-kernels: ## what calls the kernel on two of them, without the slowest tests, if what it takes is installed
	@$(GO) run ./test/kernels -if-possible -reduced amd64-6.1 arm64-6.12

.PHONY: test-bench
test-bench: ## check that the measurements run, with tiny sizes
	cd bench && $(GO) vet ./... && ../$(RUN_TESTS) ./...

.PHONY: fuzz
fuzz: ## fuzz every parser for FUZZTIME each
	@packages=$$($(GO) list ./...) && for package in $$packages; do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; \
		done; \
	done

# BENCH=-quick is a rough run of less than a minute; cd bench && go run . -help.
.PHONY: bench
bench: ## measure side by side with the bare calls and other tools: bench/RESULTS.md
	@cd bench && $(GO) run . $(BENCH)

.PHONY: cover
cover: ## measure the coverage of the packages
	$(GO) test -coverprofile cover.out ./pkg/... ./internal/...
	$(GO) tool cover -func cover.out | tail -1

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist cover.out
