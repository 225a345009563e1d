#!/bin/sh
# Test the wheel with Redis' driver and no other extra: on every supported Python that is here
# besides the one of .venv; and on the oldest with the lowest dependencies that pyproject.toml allows,
# those of DynamoDB among them.
# Environments are kept in .venvs/. Arguments go to pytest.
set -eu

cd "$(dirname "$0")/.."
# shellcheck source=tools/pythons.sh
. tools/pythons.sh

say() { printf '\n== %s\n' "$*"; }

make_environment() { # NAME PYTHON
    [ -x ".venvs/$1/bin/python" ] && return
    mkdir -p .venvs
    "$2" -m venv ".venvs/$1"
    ".venvs/$1/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
}

# The tests of what needs another extra are left out: a folder whose imports need it, and a marker.
test_in() { # NAME, then arguments for pytest
    name=$1
    shift
    run_tests "$name" -m "not extras and not faults" --ignore=tests/cli "$@"
}

# Two at a time: most of them wait for a server or a process. A few that fail are run again, alone
# (docs/decisions/0024).
run_tests() { # NAME, then arguments for pytest
    environment=.venvs/$1/bin/python
    cache=.venvs/$1/pytest_cache
    shift
    rm -rf "$cache"
    (
        unset PYTHONPATH
        set -- -m pytest -q -o "cache_dir=$cache" "$@"
        "$environment" "$@" -n 2 || {
            .venv/bin/python tools/failed.py "$cache" &&
                "$environment" "$@" --last-failed --last-failed-no-failures=none
        }
    )
}

# What needs the driver of DynamoDB, in one colour, as only the driver is another. The lowest one
# calls what Python 3.12 and later warn of.
test_dynamodb_in() { # NAME
    run_tests "$1" -m "not faults" -W "ignore:datetime.datetime.utcnow:DeprecationWarning" \
        tests/_sync/test_dynamodb_*.py tests/runtime/test_dynamodb_*.py
}

lowest_dependencies() {
    .venv/bin/python -c '
import re, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
wanted = project["dependencies"] + extras["redis"] + extras["dynamodb"]
print(" ".join(re.sub(">=", "==", each) for each in wanted))
'
}

sh tools/build_wheel.sh
wheel=$(echo dist/*.whl)
ours=$(.venv/bin/python -c 'import sys; print(sys.version_info[1])')
failed=
tested=
oldest=
oldest_path=
found=$(mktemp)
trap 'rm -f "$found"' EXIT
find_pythons >"$found"
while read -r minor python <&3; do
    can_make_venv "$python" || continue
    case " $tested " in *" $minor "*) continue ;; esac
    tested="$tested $minor"
    oldest=$minor oldest_path=$python
    [ "$minor" = "$ours" ] && continue
    say "Python 3.$minor ($python), Redis only"
    make_environment "3.$minor" "$python"
    if ! ".venvs/3.$minor/bin/python" -m pip install --quiet --force-reinstall --no-deps "$wheel" ||
        ! ".venvs/3.$minor/bin/python" -m pip install --quiet --only-binary=google-re2,msgspec \
            "$wheel[redis]" --group test; then
        say "Python 3.$minor is left out: the dependencies have no wheels for it"
        continue
    fi
    test_in "3.$minor" "$@" || failed="$failed 3.$minor"
done 3<"$found"

if [ -n "$oldest" ]; then
    say "Python 3.$oldest, lowest dependencies: $(lowest_dependencies)"
    make_environment lowest "$oldest_path"
    .venvs/lowest/bin/python -m pip install --quiet --force-reinstall --no-deps "$wheel"
    # shellcheck disable=SC2046  # one requirement per word
    .venvs/lowest/bin/python -m pip install --quiet --only-binary=google-re2,msgspec \
        "$wheel[redis,dynamodb]" --group test $(lowest_dependencies)
    { test_in lowest "$@" && test_dynamodb_in lowest; } || failed="$failed lowest"
fi

if [ -n "$failed" ]; then
    say "failed on:$failed"
    exit 1
fi
