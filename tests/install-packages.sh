#!/usr/bin/env bash
# Installs the packages of tests/packages/build (or of the files named) that are missing; root, Debian 12 or 13.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
while read -r package; do
    case $package in ''|'#'*) continue ;; esac
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$status" = 'install ok installed' ] || missing+=("$package")
done < <(cat "${@:-tests/packages/build}")
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
