# Every target makes the virtual environment if it is not there. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= paper
WORKSPACE ?= workspace
SCANNET ?= data/scannet
MODELNET40 ?= data/modelnet40_normal_resampled
SHAPENETPART ?= data/shapenetcore_partanno_segmentation_benchmark_v0_normal
# Of finetune-all: a checkpoint instead of the configured pre-training, the runs' name, how many
INIT ?=
NAME ?=
SEEDS ?= 1
# Changes, such as SET="extract.seed=1 teacher.source=/my weights/c.pt": a word without section.key=
# belongs to the value before it.
SET ?=
ARGS ?=
DISTILL3D := $(BIN)/distill3d
SPACE := $(subst ,, )
is_change = $(and $(findstring =,$(1)),$(findstring .,$(firstword $(subst =, ,$(1)))))
MARKED = $(foreach word,$(subst ','\'',$(SET)),$(if $(call is_change,$(word)),@@)$(word))
CHANGES = $(if $(strip $(SET)),$(subst ^' ,,^$(subst $(SPACE)@@,' --set ',$(SPACE)$(patsubst @@@@%,@@%,@@$(MARKED)))'))
COMMON = --config "$(CONFIG)" --workspace "$(WORKSPACE)" $(CHANGES) $(ARGS)
DEMO := workspace/demo
# Of study: core or full, and its own workspace, since it makes a sample world there
STUDY ?= core
STUDY_WORKSPACE ?= workspace/study

.DEFAULT_GOAL := help
.PHONY: help install extract teacher-cache pretrain pretrain-all prepare finetune-all demo study test test-slow test-stress check bench clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo
	@echo "  Variables, on the command line or in the environment:"
	@echo "    CONFIG=paper|demo|FILE  WORKSPACE=DIR"
	@echo "    SCANNET=DIR  MODELNET40=DIR  SHAPENETPART=DIR        data sets"
	@echo "    STUDY=core|full  STUDY_WORKSPACE=DIR                  of study"
	@echo "    INIT=DIR|FILE|scratch  NAME=name  SEEDS=n            of finetune-all"
	@echo "    SET=\"extract.seed=1 teacher.source=/my weights/c.pt\"  changes; values may have spaces"
	@echo "    ARGS=\"--workers 4\"                                  any options of the command"

install: $(VENV)/.installed ## Make .venv with everything at the tested versions

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--config-settings editable_mode=compat --editable '.[precompute,training,clouds,dev]'
	@touch $@

extract: install ## Stage one: every 25th frame of each .sens below SCANNET to points and manifests
	$(DISTILL3D) extract --scannet "$(SCANNET)" $(COMMON)

teacher-cache: install ## Stage one: a frozen ClipCap's ten tokens for every frame, cached
	$(DISTILL3D) teacher-cache $(COMMON)

pretrain: install ## Stage two: a student learns the cached tokens from the points alone
	$(DISTILL3D) pretrain $(COMMON)

pretrain-all: install ## Every objective, baseline and control in turn, each with its frozen probe
	$(DISTILL3D) pretrain-all $(COMMON)

prepare: install ## The downstream sets that are there, SCANNET, MODELNET40 and SHAPENETPART, to the cache
	@test -d "$(SCANNET)" -o -d "$(MODELNET40)" -o -d "$(SHAPENETPART)" || \
		{ echo "$(SCANNET), $(MODELNET40), $(SHAPENETPART): none is there; name them with SCANNET=DIR MODELNET40=DIR SHAPENETPART=DIR"; exit 1; }
	@if [ -d "$(SCANNET)" ]; then $(DISTILL3D) prepare scannet "$(SCANNET)" $(COMMON); fi
	@if [ -d "$(MODELNET40)" ]; then $(DISTILL3D) prepare modelnet40 "$(MODELNET40)" $(COMMON); fi
	@if [ -d "$(SHAPENETPART)" ]; then $(DISTILL3D) prepare shapenetpart "$(SHAPENETPART)" $(COMMON); fi

finetune-all: install ## Every task whose data is prepared, from INIT, SEEDS runs each; one table
	$(DISTILL3D) finetune-all --seeds $(SEEDS) $(if $(INIT),--init "$(INIT)") $(if $(NAME),--name "$(NAME)") $(COMMON)

demo: install ## The whole pipeline on the built-in sample world, offline, on a CPU
	@rm -rf $(DEMO)
	$(DISTILL3D) sample --config demo --workspace $(DEMO)
	$(DISTILL3D) extract --scannet $(DEMO)/sample/recordings --config demo --workspace $(DEMO)
	$(DISTILL3D) teacher-train --config demo --workspace $(DEMO)
	$(DISTILL3D) teacher-cache --config demo --workspace $(DEMO)
	$(DISTILL3D) caption --frame scene1040_00:10 --config demo --workspace $(DEMO)
	$(DISTILL3D) prepare scannet --config demo --workspace $(DEMO)
	$(DISTILL3D) prepare modelnet40 --config demo --workspace $(DEMO)
	$(DISTILL3D) prepare shapenetpart --config demo --workspace $(DEMO)
	$(DISTILL3D) pretrain --config demo --workspace $(DEMO)
	$(DISTILL3D) finetune-all --config demo --workspace $(DEMO)
	$(DISTILL3D) inspect $(DEMO) --verify
	$(DISTILL3D) contact-sheet --workspace $(DEMO)
	@echo "demo: done. What frozen features know stands beside random weights above; the four tasks ran once each, which"
	@echo "shows that they run and not what pre-training gives them. Pictures: $(DEMO)/report/figures and the runs' folders"

study: install ## Does pre-training help where labels are few? In the sample world; STUDY=core or full, hours
	$(DISTILL3D) study --config $(if $(filter full,$(STUDY)),study_full,study) --workspace "$(STUDY_WORKSPACE)" $(CHANGES) $(ARGS)

test: install ## All tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8 $(ARGS)

test-slow: install ## The slow tests, one after the other
	$(BIN)/python -m pytest -m slow -n 0 $(ARGS)

test-stress: install ## Tests again and again on a busy machine; goes on where it was stopped
	$(BIN)/python -m tests.harness.stress $(ARGS)

check: install ## Lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install ## Measured speeds, as ratios against a baseline in the same run
	$(BIN)/python -m tests.benchmarks $(ARGS)

clean: ## Remove the demo's workspace and tools' caches, not your workspaces
	rm -rf $(DEMO) .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache build *.egg-info
