# Every target does its own set-up: it makes .venv where it is missing (see tools/setup.sh).
# For newcomers: `make run` and `make test`.
.POSIX:
.SUFFIXES:

PYTHON = .venv/bin/python
ARGS =

.PHONY: help run test test-faults test-pythons lint types arrows twins unasync format coverage bench contract contract-long changelog wheel clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1\t\2/p' Makefile | expand -t 20

run:  ## the main job as a story: file -> SQLite -> another process; STORE=redis://… and others
	@sh tools/setup.sh run
	@$(PYTHON) examples/story.py $(ARGS)

test:  ## the tests, in two processes; ARGS='-k name' picks some, ARGS='-n 0 FILE' runs one file in one
	@sh tools/setup.sh test
	@$(PYTHON) -m pytest -m "not faults" -n 2 $(ARGS)

test-faults:  ## the tests with every injected fault, on every store, in both colours
	@sh tools/setup.sh test
	@$(PYTHON) -m pytest -m "not faults" -n 2 $(ARGS)
	@$(PYTHON) -m pytest -m faults -n 6 $(ARGS)

test-pythons:  ## the wheel without extras on every other Python here, and on the lowest dependencies
	@sh tools/setup.sh dev
	@sh tools/test_pythons.sh $(ARGS)

lint:  ## ruff, formatting, twins in step
	@sh tools/setup.sh dev
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) tools/unasync.py --check

types:  ## mypy, strict
	@sh tools/setup.sh dev
	@$(PYTHON) -m mypy src tests tools benchmarks

arrows:  ## who may import whom
	@sh tools/setup.sh dev
	@$(PYTHON) -c "from importlinter.cli import lint_imports_command as run; run()"

twins:  ## is every sync twin what its async source says?
	@sh tools/setup.sh run
	@$(PYTHON) tools/unasync.py --check

unasync:  ## write the sync twins
	@sh tools/setup.sh run
	@$(PYTHON) tools/unasync.py

format:  ## format and sort imports
	@sh tools/setup.sh dev
	@$(PYTHON) -m ruff check --fix-only --quiet .
	@$(PYTHON) -m ruff format .

# One after the other: what other processes run is not measured.
coverage:  ## branch coverage of the tests
	@sh tools/setup.sh test
	@$(PYTHON) -m coverage run -m pytest -m "not faults" $(ARGS)
	@$(PYTHON) -m coverage report

bench:  ## flagkeep and the official SDK in turn
	@sh tools/setup.sh run
	@$(PYTHON) -m benchmarks.run $(ARGS)

contract:  ## the SDK contract harness over both clients; HARNESS_V2=its program
	@sh tools/setup.sh test
	@$(PYTHON) -m tests.contract.run --harness "$(HARNESS_V2)" $(ARGS)

contract-long:  ## its tests that take minutes, all at the same time
	@sh tools/setup.sh test
	@$(PYTHON) -m tests.contract.run --long --harness "$(HARNESS_V2)" $(ARGS)

changelog:  ## what the next version's changelog would say
	@sh tools/setup.sh dev
	@$(PYTHON) -m towncrier build --draft

wheel:  ## build dist/*.whl
	@sh tools/setup.sh run
	@sh tools/build_wheel.sh

clean:  ## remove what can be made again
	rm -rf .venv .venvs dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
