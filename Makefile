# Everything that is done with this repository. `make help` lists it; README.md tells the story.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What is built here is taken from here, whatever the shell says.
export CARGO_TARGET_DIR := $(CURDIR)/target
export TIDEGATE_WORLD := $(or $(TIDEGATE_WORLD),$(CURDIR)/.world)
export PYTHONPATH := $(CURDIR)/infra/local
export PYTHONDONTWRITEBYTECODE := 1
FUNCTIONS := $(patsubst functions/%/Cargo.toml,%,$(wildcard functions/*-*/Cargo.toml))

# The directory of the installed tools; installs what is missing.
tools = tools=$$(infra/local/setup/install.sh); export TIDEGATE_TOOLS=$$tools PATH="$$tools/bin:$$PATH"

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

.PHONY: tools
tools: ## install the pinned tools of the local world (idempotent)
	@infra/local/setup/install.sh >/dev/null

.PHONY: build
build: ## the functions as Lambda deploys them, and the programs of the local world
	@$(tools)
	# One build at a time: what is linked last must be what is copied.
	mkdir -p target; exec 8>target/.build.lock; flock 8
	echo "build: functions" >&2
	# Natively, and by the same build that the tests use: cargo-lambda builds for a named target, which is a second build
	# of everything. `make package` is the one for AWS.
	infra/local/setup/artifacts.sh restore
	cargo build --release --locked --workspace
	infra/local/setup/artifacts.sh keep
	for function in $(FUNCTIONS); do
	  install -D -m 755 "target/release/$$function" "target/lambda/$$function/bootstrap"
	done
	install -D -m 755 "target/release/tidegate-manifests" target/programs/tidegate-manifests
	# Half of what a JVM costs at its start; made once for each set of jars.
	python3 -m world.alluxio.archive --tools "$$TIDEGATE_TOOLS" >&2

.PHONY: package
package: ## the functions for AWS (arm64; ARGS="--x86-64" for the other), before sam deploy
	@$(tools)
	zig=$$(infra/local/setup/cross.sh); export PATH="$$zig:$$PATH"
	cargo lambda build --release --locked --workspace --lambda-dir target/lambda $(or $(ARGS),--arm64)

# Of deploy, deploy-cluster and destroy: which of samples/samconfig.toml.
expect-environment = test -n "$(ENVIRONMENT)" || { echo "ENVIRONMENT is empty: expected one of samples/samconfig.toml, such as ENVIRONMENT=dev" >&2; exit 2; }

.PHONY: deploy-cluster
deploy-cluster: ## a network and an EKS cluster in your AWS account (ENVIRONMENT=prod ARGS="PublicAccessCidrs=203.0.113.7/32")
	@$(expect-environment)
	$(tools)
	python3 infra/deploy.py cluster "$(ENVIRONMENT)" $(ARGS)

.PHONY: deploy
deploy: ## the functions in your AWS account (ENVIRONMENT=prod ARGS="DrainLimitSeconds=7200")
	@$(expect-environment)
	$(MAKE) package ARGS="$(if $(findstring Architecture=x86_64,$(ARGS)),--x86-64,--arm64)"
	$(tools)
	python3 infra/deploy.py functions "$(ENVIRONMENT)" $(ARGS)

.PHONY: destroy
destroy: ## both stacks away (ENVIRONMENT=dev CONFIRM=the cluster's name ARGS="--accept-data-loss")
	@$(expect-environment)
	$(tools)
	python3 infra/deploy.py destroy "$(ENVIRONMENT)" --confirm "$(CONFIRM)" $(ARGS)

.PHONY: cluster-user-data
cluster-user-data: ## write infra/user-data into infra/cluster.yaml
	@$(tools)
	python3 infra/embed_user_data.py

.PHONY: up
up: build ## start the local world; says how to talk to it (ARGS="--sample dev" for one with nothing set up in it)
	@$(tools)
	python3 -m world up $(ARGS)

.PHONY: down
down: ## end the local world, and what a crash has left of it
	@$(tools)
	python3 -m world down

.PHONY: env
env: ## what a shell needs to talk to the world: eval "$$(make -s env)"
	@$(tools)
	python3 -m world env

.PHONY: demo
demo: build ## the whole life of a node, in front of your eyes
	@$(tools)
	exec python3 -m demo

.PHONY: test
test: ## all tests; ends with the line "N passed, N failed"
	@tests/run.sh

.PHONY: bench
bench: build ## measures, and writes docs/benchmarks.md
	@$(tools)
	python3 -m bench

.PHONY: manifests
manifests: build ## the cluster's manifests as YAML, for kubectl apply -f - (ARGS="--layout 2x300g --alluxio-masters host:19998")
	@target/programs/tidegate-manifests render $(ARGS)

.PHONY: format
format: ## format the Rust code
	@cargo fmt --all

.PHONY: clean
clean: down ## end the world and remove what was built in this checkout
	@rm -rf target dist .world
