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

.PHONY: install
install: build ## install vmwrite into $(PREFIX)/bin
	install -D -m 0755 bin/vmwrite $(DESTDIR)$(PREFIX)/bin/vmwrite

.PHONY: image
image: build ## build the container image vmwrite from bin/vmwrite
	docker build --target prebuilt -t vmwrite .

.PHONY: test
test: lint race cross test-386 ## check everything: lint, all tests with the race detector, other architectures

.PHONY: race
race: ## run all tests with the race detector
	$(GO) test -race -timeout 20m ./...

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

.PHONY: bench
bench: ## measure a write against the bare system call
	$(GO) test -run '^$$' -bench . -benchmem ./pkg/...

.PHONY: cover
cover: ## measure the coverage of the packages
	$(GO) test -coverprofile cover.out ./pkg/... ./internal/...
	$(GO) tool cover -func cover.out | tail -1

.PHONY: clean
clean: ## remove what was built
	rm -rf bin cover.out
