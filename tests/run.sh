#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test; with --long those that take many minutes too.
set -euo pipefail
cd "$(dirname "$0")/.."

tests=full
if [ "${1:-}" = --long ]; then tests=long; fi

# first what building and most tests need; the rest costs only the tests that are skipped without it, and say so
lists=(tests/packages/build tests/packages/core)
command -v npm > /dev/null || lists+=(tests/packages/node)
tests/install-packages.sh "${lists[@]}"
for list in rest large; do
    tests/install-packages.sh tests/packages/$list || echo "going on without tests/packages/$list"
done

# build FOLDER [MESON OPTIONS]: made when it is not there
build() {
    local folder=$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" -Dwerror=true "$@" > "$folder.log" || {
        cat "$folder.log"
        return 1
    }
    rm -f "$folder.log"
    meson compile -C "$folder"
}

# run FOLDER: a test that fails keeps no other from being run
result=0
run() {
    meson test -C "$1" --no-rebuild --print-errorlogs || result=$?
}

# core FOLDER: what runs again in other builds
core() {
    AAPFS_TESTS=core AAPFS_LOAD_ROTATIONS=10 run "$1"
}

build build
# the promise of old libraries, and of an old Meson, is for the compiler to keep
build build-oldest -Dassume_oldest=true -Dtests=false --fatal-meson-warnings
AAPFS_TESTS=$tests run build

build build-address -Db_sanitize=address,undefined -Db_lundef=false
core build-address
build build-thread -Db_sanitize=thread -Db_lundef=false
core build-thread
# what a function never set is not 0 there by luck
CC=clang build build-clang -Dc_args=-ftrivial-auto-var-init=pattern
core build-clang

echo
tests/report.py build build-address build-thread build-clang
exit "$result"
