#!/bin/sh
# Runs the demo on this machine, or a specification of your own. Needs Python 3.10 to 3.13.
set -u

usage() {
    cat <<'EOF'
usage: ./run_local.sh [--patients N] [--fresh] [flags]
       ./run_local.sh SPEC [flags]
       ./run_local.sh --stop

Without a specification: makes a virtual environment in .venv, starts an embedded
PostgreSQL in .transfuse/pg, fills a demo legacy hospital with known faults, migrates it,
and scores what was found. Run again, it finds the job complete and changes nothing.

  --patients N   the size of the demo hospital (50,000 patients, 120,000 visits)
  --fresh        start over: throw the demo's databases away first
  --stop         stop the embedded PostgreSQL, which otherwise goes on running
  SPEC           migrate with this specification instead; no demo, no PostgreSQL

Further flags are passed on to 'transfuse migrate'. The exit status is that of the
migration: 0 complete, 2 nothing started, 3 incomplete (run again to continue), ...

PYTHON=/path/to/python chooses another interpreter.
EOF
}

fail() {
    echo "run_local.sh: $*" >&2
    exit 2
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 2
venv=$here/.venv

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

# What the environment was made from, to see whether it is up to date.
recipe() {
    cat "$here/requirements.txt" "$here/setup.py" && echo "$here"
}

prepare() {
    if [ -f "$venv/recipe" ] && [ "$(recipe)" = "$(cat "$venv/recipe")" ] &&
        supported "$venv/bin/python"; then
        return
    fi
    find_python
    if ! supported "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "Making the virtual environment .venv with $("$python" --version 2>&1) ..." >&2
        "$python" -m venv --clear "$venv" >&2 ||
            fail "the virtual environment can't be made. On Debian and Ubuntu: apt install python3-venv"
    fi
    echo "Installing the requirements ..." >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        -r "$here/requirements.txt" -e "$here" >&2 ||
        fail "the requirements can't be installed; see above. Run again when that is mended."
    recipe >"$venv/recipe"
}

case "${1:-}" in
-*) ;;
?*)
    prepare
    exec "$venv/bin/transfuse" migrate "$@"
    ;;
esac

patients= fresh= action=demo runner=--runner=DirectRunner
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    count=$((count - 1))
    case $argument in
    -h | --help)
        usage
        exit 0
        ;;
    --stop) action=stop ;;
    --fresh) fresh=--fresh ;;
    --patients)
        [ "$count" -gt 0 ] || fail "--patients needs a number."
        patients=--patients=$1
        shift
        count=$((count - 1))
        ;;
    --patients=*) patients=$argument ;;
    --runner | --runner=*)
        runner=
        set -- "$@" "$argument"
        ;;
    *) set -- "$@" "$argument" ;;
    esac
done

cd "$here" || exit 2
if [ "$action" = stop ]; then
    supported "$venv/bin/python" || fail "there is no .venv here, so nothing of it is running."
    exec "$venv/bin/python" -m demo stop
fi
prepare

"$venv/bin/python" -m demo setup ${patients:+"$patients"} ${fresh:+"$fresh"} || exit
. ./.transfuse/demo.env
"$venv/bin/transfuse" migrate demo/hospital.yaml ${runner:+"$runner"} "$@"
status=$?
if [ "$status" -eq 0 ]; then
    "$venv/bin/python" -m demo score
fi
exit "$status"
