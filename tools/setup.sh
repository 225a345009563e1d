#!/bin/sh
# Make .venv and install flagkeep into it: tools/setup.sh run|test|dev
#
#   run   flagkeep with all its extras
#   test  and what the tests need
#   dev   and the linters and type checkers
#
# Takes the newest Python (3.11 or later) that runs, can make an environment, and for which the
# dependencies have wheels; uses uv if it is there, pip if not. A second run is instant: .venv keeps
# a mark of what it was made from. An environment that is already there is filled, not replaced.
set -eu

cd "$(dirname "$0")/.."
# shellcheck source=tools/pythons.sh
. tools/pythons.sh

VENV=.venv
MARK=$VENV/flagkeep-set-up
# google-re2 from source needs C++ libraries and minutes: then rather an older Python with a wheel.
WHEELS_ONLY="--only-binary=google-re2 --only-binary=msgspec"

say() { printf 'flagkeep: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

level_of() {
    case $1 in
    run) echo 1 ;;
    test) echo 2 ;;
    dev) echo 3 ;;
    *) fail "usage: tools/setup.sh run|test|dev" ;;
    esac
}

# What the environment was made from: the requirements, this script, and where the source lies
# (the package is installed editable, so the environment names its folder).
fingerprint() {
    { cat pyproject.toml tools/setup.sh && pwd; } | cksum
}

read_mark() { # "LEVEL FINGERPRINT", or nothing
    if [ -f "$MARK" ]; then cat "$MARK"; fi
}

install_into_venv() { # LEVEL
    case $1 in
    1) group= ;;
    2) group=--group=test ;;
    3) group=--group=dev ;;
    esac
    install_with_uv || install_with_pip
}

install_with_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    # shellcheck disable=SC2086  # several options in one variable
    uv pip install --quiet --python "$VENV/bin/python" $WHEELS_ONLY -e '.[all]' $group \
        >"$LOG" 2>&1 </dev/null && return
    say "uv could not install the packages, trying pip"
    return 1
}

install_with_pip() {
    # An environment made by uv has no pip; dependency groups need pip 25.1.
    {
        "$VENV/bin/python" -m pip --version || "$VENV/bin/python" -m ensurepip || return 1
        "$VENV/bin/python" -m pip install --quiet --upgrade 'pip>=25.1' || return 1
        # shellcheck disable=SC2086  # several options in one variable
        "$VENV/bin/python" -m pip install --quiet $WHEELS_ONLY -e '.[all]' $group
    } >"$LOG" 2>&1 </dev/null
}

make_venv() { # PYTHON
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --python "$1" "$VENV" >"$LOG" 2>&1 </dev/null && return
        rm -rf "$VENV"
    fi
    if ! can_make_venv "$1"; then
        get_venv_module "$1" || return 1
    fi
    "$1" -m venv "$VENV" >"$LOG" 2>&1 </dev/null
}

get_venv_module() { # PYTHON
    if ! is_debian_python "$1"; then
        say "$1 has no module venv or ensurepip: it cannot make a virtual environment"
        return 1
    fi
    package=python3.$("$1" -c 'import sys; print(sys.version_info[1])')-venv
    if am_root; then
        say "installing $package"
        apt_install "$package" && can_make_venv "$1" && return
    fi
    say "$1 cannot make a virtual environment without the package $package; as root: apt-get install $package"
    return 1
}

fill_new_venv() { # LEVEL: with the newest Python for which everything works
    find_pythons >"$PYTHONS"
    if [ ! -s "$PYTHONS" ] && am_root && command -v apt-get >/dev/null 2>&1; then
        say "no Python 3.11 or later is here: installing Debian's"
        apt_install python3 python3-venv || :
        find_pythons >"$PYTHONS"
    fi
    [ -s "$PYTHONS" ] || fail "Python 3.11 or later is needed; none was found on the PATH or in pyenv's folders"
    while read -r minor python <&3; do
        say "making $VENV with Python 3.$minor ($python)"
        if make_venv "$python"; then
            install_into_venv "$1" && return
            show_log
            say "that does not work with Python 3.$minor"
        fi
        rm -rf "$VENV"
    done 3<"$PYTHONS"
    fail "no Python here could be used; the reasons are above"
}

show_log() { tail -n 8 "$LOG" | sed 's/^/    /' >&2; }

venv_runs() {
    "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 </dev/null
}

level=$(level_of "${1-}")
fingerprint=$(fingerprint)
mark=$(read_mark)
marked_level=${mark%% *}
if [ "${mark#* }" = "$fingerprint" ] && [ "$marked_level" -ge "$level" ] && venv_runs; then
    exit 0
fi
[ "${marked_level:-0}" -gt "$level" ] && level=$marked_level

LOG=$(mktemp)
PYTHONS=$(mktemp)
trap 'rm -f "$LOG" "$PYTHONS"' EXIT
if venv_runs; then
    say "bringing $VENV up to date"
    if ! install_into_venv "$level"; then
        show_log
        fail "could not install into $VENV; if this stays so, remove that folder and try again"
    fi
else
    rm -rf "$VENV"
    fill_new_venv "$level"
fi
printf '%s %s\n' "$level" "$fingerprint" >"$MARK"
say "$VENV is ready"
