#!/bin/sh
# Runs a command every day at a set time (local time of the container, so set TZ):
#
#   nightly.sh 03:00 slowwave consolidate
#
# A night that fails or is refused is reported and the next one is run all the same: the version that
# is being served stays, so nothing is lost by waiting for a day.
set -eu
at=${1:?usage: nightly.sh HH:MM COMMAND...}
shift
: "${1:?usage: nightly.sh HH:MM COMMAND...}"
date -d "today $at" >/dev/null

while :; do
    now=$(date +%s)
    next=$(date -d "today $at" +%s)
    # "tomorrow", not 24 hours: days on which the clocks change are longer or shorter
    [ "$next" -gt "$now" ] || next=$(date -d "tomorrow $at" +%s)
    echo "nightly: next run at $(date -d "@$next" '+%Y-%m-%d %H:%M:%S %Z')"
    sleep $((next - now))
    status=0
    "$@" || status=$?
    echo "nightly: finished with exit code $status"
done
