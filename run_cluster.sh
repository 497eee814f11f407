#!/bin/sh
# Runs the demo on a Flink or Spark cluster of this machine. Needs Python 3.10 to 3.13 and Java.
set -u

usage() {
    cat <<'EOF'
usage: ./run_cluster.sh flink|spark [--patients N] [--fresh] [--keep] [flags]
       ./run_cluster.sh --stop

Makes a virtual environment in .venv, downloads the engine's jars into .transfuse/jars,
fills the demo's legacy hospital as ./run_local.sh does, starts a cluster of three
processes and a pool of Python workers, migrates the hospital there, scores what was found,
and stops the cluster.

  --patients N   the size of the demo hospital (50,000 patients, 120,000 visits)
  --fresh        start over: throw the demo's databases away first
  --keep         leave the cluster running, and say where
  --stop         stop clusters that are left running, and the embedded PostgreSQL

Further flags are passed on to 'transfuse migrate'. The exit status is that of the
migration: 0 complete, 2 nothing started, 3 incomplete (run again to continue), ...

Flink needs Java 11 to 21, Spark Java 11 to 17: that of JAVA_HOME, else of PATH.
MAVEN_REPOSITORY=URL downloads the jars from a mirror of Maven Central.
PYTHON=/path/to/python chooses another interpreter.
EOF
}

. "$(dirname -- "$0")/set_up_venv.sh"

patients= fresh= engine=
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
    --stop) engine=stop ;;
    flink | spark) [ "$engine" = stop ] || engine=$argument ;;
    --fresh) fresh=--fresh ;;
    --patients)
        [ "$count" -gt 0 ] || fail "--patients needs a number."
        patients=--patients=$1
        shift
        count=$((count - 1))
        ;;
    --patients=*) patients=$argument ;;
    *) set -- "$@" "$argument" ;;
    esac
done
[ -n "$engine" ] || fail "say flink or spark; see --help."

cd "$here" || exit 2
if [ "$engine" = stop ]; then
    supported "$venv/bin/python" || fail "there is no .venv here, so nothing of it is running."
    "$venv/bin/python" -m clusters stop || exit
    exec "$venv/bin/python" -m demo stop
fi
prepare requirements.txt

"$venv/bin/python" -m clusters fetch "$engine" >/dev/null || exit
"$venv/bin/python" -m demo setup ${patients:+"$patients"} ${fresh:+"$fresh"} || exit
. ./.transfuse/demo.env
# In place of this shell, so that signals reach the migration.
exec "$venv/bin/python" -m demo migrate "$venv/bin/python" -m clusters migrate "$engine" demo/hospital.yaml "$@"
