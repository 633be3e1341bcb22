#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/install-packages.sh tests/packages-build tests/packages-test
command -v npm > /dev/null || tests/install-packages.sh tests/packages-node

build=${BUILD_DIR:-build}
[ -f "$build/build.ninja" ] || meson setup "$build" -Dwerror=true
meson compile -C "$build"
meson test -C "$build" --print-errorlogs
