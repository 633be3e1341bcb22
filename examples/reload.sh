#!/bin/sh
# Runs a command whenever an AAP's client key is replaced: reload.sh DIRECTORY COMMAND...
# The directory is watched, not a file in it: a rotation renames a new file over the old name.
set -eu
[ $# -ge 2 ] || { echo "usage: reload.sh DIRECTORY COMMAND..." >&2; exit 2; }
directory=$1
shift

# not_after is the last name that moves: by then all others are the new key's
inotifywait --quiet --monitor --event moved_to --format %f "$directory" |
while read -r name; do
    if [ "$name" = not_after ]; then
        "$@"
    fi
done
