# Go and make are all this needs. What it builds stays in bin/, dist/ and .cache/.
SHELL = /bin/sh
.DEFAULT_GOAL = help

PREFIX ?= /usr/local
DESTDIR ?=
GO ?= go
# Nothing here needs C, but the macOS Keychain: build releases for macOS on macOS, with CGO_ENABLED=1.
CGO_ENABLED ?= $(if $(filter Darwin,$(shell uname -s)),1,0)
export CGO_ENABLED

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS = -s -w -X aws-runas/cmd.Version=$(VERSION)
BUILD = $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
EXE = $(if $(filter windows,$(shell $(GO) env GOOS)),.exe)
# go run would lose the exit status.
GOTEST = $(GO) build -buildvcs=false -o .cache/gotest$(EXE) ./.ci/gotest && .cache/gotest$(EXE)
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# What the tests can use beyond Go, as Debian names it.
TOOLS = awscli bash bash-completion binutils-mingw-w64-x86-64 busybox chromium curl dash dbus-daemon fish fzf gnome-keyring \
        gnupg iproute2 keyutils ksh93u+m libio-string-perl liblasso-perl liblemonldap-ng-portal-perl libsecret-tools \
        libstring-random-perl libxml-simple-perl man-db mandoc mksh oathtool openssh-client openssh-server pass \
        php-async-aws-core php-cli php-mbstring php-sqlite3 php-xml procps python3-boto3 python3-botocore rclone restic ruby \
        ruby-aws-sdk-core s3cmd s3fs shellcheck simplesamlphp strace tcsh util-linux wine wine64 zsh

# And as npm does: SDKs, an OpenID provider, a grammar for PowerShell, and what drives Chromium, which Debian has not.
NPM_TOOLS = @aws-sdk/client-sts@3.1169.0 aws-sdk@2.1693.0 oidc-provider@9.13.3 playwright-core@1.65.1 tree-sitter-powershell@0.26.4 \
            web-tree-sitter@0.27.1

.PHONY: help build demo test slow tools bench install lint fmt cover release clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## build bin/aws-runas
	$(BUILD) -o bin/aws-runas$(EXE) ./cmd/aws-runas

demo: build ## try every feature against a local AWS: no account, no network, nothing kept
	@$(BUILD) -o bin/sandbox$(EXE) ./cmd/sandbox
	@bin/sandbox$(EXE)

test: ## run the tests; NO_SKIP=1 fails those that lack a program instead of skipping them
	@$(GOTEST) $(TESTFLAGS) ./...

# Slow tests are TestSlow... functions in files *_slow_test.go that begin with //go:build slow, and those of .ci/clients.
slow: ## run the slow tests: those with real AWS clients and servers
	@$(GOTEST) -count 1 -tags slow -run '^TestSlow' $(TESTFLAGS) ./... ./.ci/clients

tools: ## install the programs that some tests need (Debian and its kin)
	@sh .ci/tools $(TOOLS) -- $(NPM_TOOLS)

bench: ## measure start-up, warm and cold runs, prompts and servers, as ratios taken in one run
	@$(GO) run -buildvcs=false ./cmd/bench $(BENCH)

# The completions call the program by its name, wherever it is installed.
install: build ## install the program, its manual page and completions under PREFIX (default /usr/local)
	mkdir -p $(foreach d,bin share/man/man1 share/bash-completion/completions share/zsh/site-functions share/fish/vendor_completions.d,'$(DESTDIR)$(PREFIX)/$d')
	install -m 0755 bin/aws-runas$(EXE) '$(DESTDIR)$(PREFIX)/bin/aws-runas$(EXE)'
	install -m 0644 man/aws-runas.1 '$(DESTDIR)$(PREFIX)/share/man/man1/aws-runas.1'
	PATH="$(CURDIR)/bin:$$PATH"; cd '$(DESTDIR)$(PREFIX)/share' && umask 022 && \
		aws-runas completion bash >bash-completion/completions/aws-runas && \
		aws-runas completion zsh >zsh/site-functions/_aws-runas && \
		aws-runas completion fish >fish/vendor_completions.d/aws-runas.fish

lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l cmd completions keychain metadata session shell .ci 2>/dev/null); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags slow ./... ./.ci/clients ./.ci/gotest
	$(GO) run -buildvcs=false $(STATICCHECK) -tags slow ./... ./.ci/clients ./.ci/gotest

fmt: ## format the source
	@gofmt -l -w $(wildcard cmd completions keychain metadata session shell) .ci

cover: ## run the tests and report coverage in .cache/cover.html
	@mkdir -p .cache
	@$(GOTEST) -coverprofile=.cache/cover.out ./...; status=$$?; \
	$(GO) tool cover -html=.cache/cover.out -o .cache/cover.html && \
	$(GO) tool cover -func=.cache/cover.out | tail -n 1 && exit $$status

release: ## cross-build the six targets into dist/
	@set -e; for target in $(PLATFORMS); do \
		os=$${target%/*} arch=$${target#*/} ext=; [ $$os != windows ] || ext=.exe; \
		echo "dist/aws-runas-$$os-$$arch$$ext"; \
		GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 $(BUILD) -o "dist/aws-runas-$$os-$$arch$$ext" ./cmd/aws-runas; \
	done

clean: ## remove what make built
	rm -rf bin dist .cache
