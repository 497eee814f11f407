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

. "$(dirname -- "$0")/set_up_venv.sh"

case "${1:-}" in
-*) ;;
?*)
    prepare requirements.txt
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
prepare requirements.txt

"$venv/bin/python" -m demo setup ${patients:+"$patients"} ${fresh:+"$fresh"} || exit
. ./.transfuse/demo.env
# In place of this shell, so that signals reach the migration.
exec "$venv/bin/python" -m demo migrate "$venv/bin/transfuse" migrate demo/hospital.yaml ${runner:+"$runner"} "$@"
