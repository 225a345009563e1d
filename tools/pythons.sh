# shellcheck shell=sh
# Find Pythons that really run. Sourced by setup.sh and test_pythons.sh.

# find_pythons: one line "MINOR PATH" for each final release of Python 3.11 or later on the PATH and
# in pyenv's folders, newest first; those of one minor version in the order of the PATH. Each
# candidate is tried: a pyenv shim may stand on the PATH for a version that is switched off.
find_pythons() {
    list_candidates | while IFS= read -r candidate; do
        "$candidate" -c "$DESCRIBE_PYTHON" 2>/dev/null </dev/null || :
    done | awk '
        {
            path = $0
            sub(/^[0-9]+ /, "", path)
            if (!seen[path]++) print $1, NR, path
        }' | sort -k1,1nr -k2,2n | sed 's/^\([0-9]*\) [0-9]* /\1 /'
}

DESCRIBE_PYTHON='
import os, sys
v = sys.version_info
if v[0] == 3 and v[1] >= 11 and v[3] == "final":
    print("%d %s" % (v[1], os.path.realpath(sys.executable)))
'

list_candidates() {
    {
        printf '%s\n' "$PATH" | tr ':' '\n'
        {
            printf '%s\n' "${PYENV_ROOT-}" "${HOME-}/.pyenv"
            # its shims on the PATH tell where it is, whatever HOME says
            printf '%s\n' "$PATH" | tr ':' '\n' | sed -n 's,/shims/*$,,p'
        } | while IFS= read -r root; do
            for folder in "$root"/versions/*/bin; do
                [ -d "$folder" ] && printf '%s\n' "$folder"
            done
        done
    } | while IFS= read -r folder; do
        for file in "$folder"/python3 "$folder"/python3.[0-9]*; do
            case ${file##*/python3} in
            *[!.0-9]*) ;; # python3.11-config and the like
            *) [ -x "$file" ] && printf '%s\n' "$file" ;;
            esac
        done
    done
}

# can_make_venv PYTHON: has it the parts that a virtual environment with pip needs?
can_make_venv() {
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1 </dev/null
}

# is_debian_python PYTHON: does it come from a package, so that apt can add to it?
is_debian_python() {
    case $1 in
    /usr/bin/*) command -v apt-get >/dev/null 2>&1 ;;
    *) return 1 ;;
    esac
}

am_root() {
    [ "$(id -u)" -eq 0 ]
}

# apt_install PACKAGE...: install as root without a question; the package lists are fetched once.
apt_install() {
    if [ -z "${APT_LISTS_ARE_FRESH-}" ]; then
        apt-get update -qq >/dev/null 2>&1 </dev/null || :
        APT_LISTS_ARE_FRESH=yes
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null 2>&1 </dev/null
}
