# shellcheck shell=sh
# Sourced by the other scripts of this folder: the virtual environment of this checkout.
# Sets here and venv; prepare FILE makes the environment, or brings it up to date.

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 2
venv=$here/.venv

fail() {
    echo "$(basename -- "$0"): $*" >&2
    exit 2
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.10 to 3.13."
        python=$PYTHON
        return
    fi
    for python in python3 python3.13 python3.12 python3.11 python3.10 python; do
        supported "$python" && return
    done
    fail "Python 3.10 to 3.13 is needed and was not found; PYTHON=/path/to/python names one."
}

# What the environment is made from, to see whether it is up to date.
recipe() {
    cat "$here/requirements.txt" "$here/setup.py"
    [ "$1" = requirements.txt ] || cat "$here/$1"
    echo "$here"
}

# Installs the requirements file $1 and the checkout itself, if that hasn't been done.
prepare() {
    if [ -f "$venv/recipe-$1" ] && [ "$(recipe "$1")" = "$(cat "$venv/recipe-$1")" ] &&
        supported "$venv/bin/python"; then
        return
    fi
    find_python
    if ! supported "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "Making the virtual environment .venv with $("$python" --version 2>&1) ..." >&2
        "$python" -m venv --clear "$venv" >&2 ||
            fail "the virtual environment can't be made. On Debian and Ubuntu: apt install python3-venv"
    fi
    echo "Installing $1 ..." >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        -r "$here/$1" -e "$here" >&2 ||
        fail "the requirements can't be installed; see above. Run again when that is mended."
    recipe "$1" >"$venv/recipe-$1"
}
