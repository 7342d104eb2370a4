# Sourced by quickstart.sh and test.sh: the project and its dependencies in .venv, once.
#
#   set_up ROOT [EXTRA]   makes ROOT/.venv where needed and installs ROOT, with its EXTRA; a stamp
#                         with the sum of what is installed from (pyproject.toml, setup.py, the C
#                         source) tells the next call that nothing is to be done.
# PYTHON names the interpreter to make .venv with; by default the first python3 that is new enough.

fail() {
    echo "$(basename "$0"): $1" >&2
    exit "${2:-1}"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    if command -v python3 >/dev/null; then
        fail "$(python3 --version 2>&1) is too old; install Python 3.10 or newer, or set PYTHON to it" 2
    fi
    fail "python3 is missing; install Python 3.10 or newer" 2
}

set_up() {
    local root=$1 extra=${2:-} python sum stamp
    local venv=$root/.venv
    sum=$(cd "$root" && cat pyproject.toml setup.py clipnerf/fields/native/field.c | cksum)
    stamp=$venv/.installed${extra:+-$extra}
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
        return
    fi
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit $?
        "$python" -m venv "$venv" >&2 ||
            fail "cannot make $venv; on Debian and Ubuntu: apt install python3-venv"
    fi
    echo "installing clipnerf into $venv (once; several gigabytes, a few minutes)" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        -e "$root${extra:+[$extra]}" >&2 ||
        fail "the installation failed (see above); mend the cause and call again"
    # The dependencies themselves are a part of every extra.
    echo "$sum" >"$venv/.installed"
    echo "$sum" >"$stamp"
}
