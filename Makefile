# Everything that is built goes to bin/.
GO      ?= go
PREFIX  ?= /usr/local
FUZZTIME ?= 30s
export CGO_ENABLED ?= 1

# The command is one static file.
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: build ## build the command and show it at work
	@bin/vmwrite demo

.PHONY: build
build: ## build bin/vmwrite
	@$(BUILD) -o bin/vmwrite ./cmd/vmwrite

# Mach's C interface. Programs find its headers below include/machcompat, by
# pkg-config: other software takes a <mach/mach.h> in the usual place for a Mac.
SOVERSION  := 0
VERSION    := $(shell git describe --tags --abbrev=0 2>/dev/null || echo 0.0.0)
OUT        ?= bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include/machcompat
BUILD_LIB  := CGO_ENABLED=1 $(GO) build -buildvcs=auto -trimpath
LINK_SHARED = -Wl,-soname,libmachcompat.so.$(SOVERSION) -Wl,--version-script=$(CURDIR)/cmd/libmachcompat/exports.map

.PHONY: lib
lib: ## build the C library: bin/libmachcompat.so, .a, machcompat.pc
	@mkdir -p $(OUT)
	@$(BUILD_LIB) -buildmode=c-shared -ldflags '-extldflags "$(LINK_SHARED)"' -o $(OUT)/libmachcompat.so ./cmd/libmachcompat
	@$(BUILD_LIB) -buildmode=c-archive -o $(OUT)/libmachcompat.a ./cmd/libmachcompat
	@rm -f $(OUT)/libmachcompat.h # of cgo; the headers are in include
	@ln -sf libmachcompat.so $(OUT)/libmachcompat.so.$(SOVERSION)
	@sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
		cmd/libmachcompat/machcompat.pc.in > $(OUT)/machcompat.pc

.PHONY: install
install: install-command install-lib ## install the command and the C library below $(PREFIX)

.PHONY: install-command
install-command: build
	install -D -m 0755 bin/vmwrite $(DESTDIR)$(PREFIX)/bin/vmwrite

.PHONY: install-lib
install-lib: lib
	install -D -m 0755 $(OUT)/libmachcompat.so $(DESTDIR)$(LIBDIR)/libmachcompat.so.$(SOVERSION)
	ln -sf libmachcompat.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libmachcompat.so
	install -D -m 0644 $(OUT)/libmachcompat.a $(DESTDIR)$(LIBDIR)/libmachcompat.a
	install -D -m 0644 $(OUT)/machcompat.pc $(DESTDIR)$(LIBDIR)/pkgconfig/machcompat.pc
	install -D -m 0644 -t $(DESTDIR)$(INCLUDEDIR) include/*.h
	install -D -m 0644 -t $(DESTDIR)$(INCLUDEDIR)/mach include/mach/*.h
	install -D -m 0644 -t $(DESTDIR)$(INCLUDEDIR)/mach/machine include/mach/machine/*.h

.PHONY: image
image: build ## build the container image vmwrite from bin/vmwrite
	docker build --target prebuilt -t vmwrite .

.PHONY: test
test: lint race attack cross test-386 test-bench ## check everything: lint, all tests with the race detector, long attacks, other architectures

.PHONY: race
race: ## run all tests with the race detector
	$(GO) test -race -timeout 20m ./...

# SECONDS_EACH and ROUNDS make the attacks longer: test/adversarial/README.md.
SECONDS_EACH ?= 30
ROUNDS       ?= 200

.PHONY: attack
attack: ## run the storms and the kills for longer than go test does
	$(GO) test -timeout 60m ./test/adversarial -run 'TestMappingStorm|TestNoByteArrives|TestKilledWriter' \
		-adversarial.seconds $(SECONDS_EACH) -adversarial.rounds $(ROUNDS)
	$(GO) test -timeout 60m ./test/c -run TestWritersInCInAStorm -adversarial.seconds $(SECONDS_EACH)

.PHONY: test-bench
test-bench: ## check that the measurements run, with tiny sizes
	cd bench && $(GO) vet ./... && $(GO) test ./...

.PHONY: lint
lint: ## check the format, go vet, staticcheck
	@unformatted=$$(gofmt -s -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -s: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: cross
cross: ## build and vet for every architecture
	@for arch in amd64 arm64 386; do \
		echo "GOARCH=$$arch build, vet"; \
		GOARCH=$$arch CGO_ENABLED=0 $(GO) build ./... && GOARCH=$$arch CGO_ENABLED=0 $(GO) vet ./... || exit 1; \
	done

.PHONY: test-386
test-386: ## run the parsers' and the library's tests as a 32-bit program, on amd64
	@if [ "$$($(GO) env GOHOSTARCH)" = amd64 ]; then \
		GOARCH=386 CGO_ENABLED=0 $(GO) test -short ./pkg/... && \
		GOARCH=386 CGO_ENABLED=0 $(GO) test ./cmd/vmwrite -run 'Parse|Encod|Fuzz|Numbers'; \
	else echo "skipped: 32-bit programs run on amd64 only"; fi

.PHONY: fuzz
fuzz: ## fuzz every parser for FUZZTIME each
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
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
	rm -rf bin cover.out
