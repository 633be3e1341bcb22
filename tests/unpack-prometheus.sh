#!/usr/bin/env bash
# promtool and prometheus-node-exporter of Debian's packages, into the folder DIR: unpacked and not installed, since the
# packages would start two servers on this machine, and bring a web interface along.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
[ ! -x "$folder/promtool" ] || [ ! -x "$folder/prometheus-node-exporter" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
download() {
    # since Debian 13 promtool has a package of its own
    tool=prometheus
    ! apt-cache show promtool > shown 2> errors || tool=promtool
    apt-get download -qq "$tool" prometheus-node-exporter
}
download 2> errors || {
    apt-get update -qq
    download
}
for package in "$tool"_*.deb prometheus-node-exporter_*.deb; do
    dpkg-deb -x "$package" unpacked
done
for program in promtool prometheus-node-exporter; do
    cp "unpacked/usr/bin/$program" "$folder/$program.new"
    mv "$folder/$program.new" "$folder/$program"
done
