#!/bin/sh
# Runs all checks: ruff, mypy, and the tests. Needs Python 3.10 to 3.13.
set -u

usage() {
    cat <<'EOF'
usage: ./run_tests.sh [--all | --thorough] [--clusters] [arguments of pytest]

Makes a virtual environment in .venv with what the checks need, then runs ruff check,
ruff format --check, mypy and pytest, and stops at the first that fails. The tests start
an embedded PostgreSQL of their own and leave nothing behind.

  --all        the slow tests as well
  --thorough   all tests, with more seeds of those that kill processes and servers at random
  --clusters   download Flink and Spark first (300 MB, once): without them the slow tests that need
               them are skipped, as they are without Java

The tests run in as many processes as there are processors; -n N chooses another number.

Example: ./run_tests.sh tests/schemas -x      some of the tests, up to the first failure

The exit status is 0 if everything passed, and 5 if no test was selected.
PYTHON=/path/to/python chooses another interpreter.
EOF
}

. "$(dirname -- "$0")/set_up_venv.sh"

which= clusters= processes="-n auto"
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
    --all) which='not thorough' ;;
    --thorough) which='thorough or not thorough' ;;
    --clusters) clusters=yes ;;
    -n | -n[0-9]* | --numprocesses*)
        processes=
        set -- "$@" "$argument"
        ;;
    *) set -- "$@" "$argument" ;;
    esac
done

cd "$here" || exit 2
prepare requirements-dev.txt

for jars in ${clusters:+flink spark operator}; do
    "$venv/bin/python" -m clusters fetch "$jars" >/dev/null || echo "Tests with $jars are skipped." >&2
done
"$venv/bin/ruff" check . || exit
"$venv/bin/ruff" format --check . || exit
"$venv/bin/mypy" || exit
# The last expression is the one that counts: it replaces that of pyproject.toml.
# Neighbors run in one process, because they share what their module sets up.
# shellcheck disable=SC2086
exec "$venv/bin/python" -m pytest --dist worksteal $processes ${which:+-m "$which"} "$@"
