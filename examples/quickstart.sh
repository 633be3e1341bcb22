#!/usr/bin/env bash
# aapfs from nothing to a rotated client key, on a KMS of its own: installs what is missing, builds,
# mounts, writes a password, shows the key, rotates it. Everything is unmounted and ended at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "Install and build"
tests/install-packages.sh
build=${BUILD_DIR:-build}
[ -f "$build/build.ninja" ] || meson setup "$build" > /dev/null
meson compile -C "$build" | tail -n 1

work=$(mktemp -d)
mount=$work/aap
finish() {
    if mountpoint -q "$mount"; then umount "$mount"; fi
    rmdir "$mount" "$work"
}
trap finish EXIT
mkdir "$mount"

say "Mount: one directory per application access point"
run "$build/fs/aapfs" --dev "$mount"
run ls "$mount"

say "Write a password into control: KMS makes a client key"
echo "\$ echo ******** > $mount/payments/control"
password="Quick-$(head -c 12 /dev/urandom | base64 | tr -d '/+=')-1"
echo "$password" > "$mount/payments/control"
run ls -l "$mount/payments"
run cat "$mount/payments/client_key_id"
before=$(cat "$mount/payments/client_key_id")
run cat "$mount/payments/not_after"
printf '$ head -c 120 %s\n' "$mount/payments/client_key.json"
head -c 120 "$mount/payments/client_key.json"
echo ...

say "The key opens with the password"
printf '$ openssl pkey -in %s -passin stdin -noout -text | head -n 1\n' "$mount/payments/private_key.pem"
echo "$password" | openssl pkey -in "$mount/payments/private_key.pem" -passin stdin -noout -text | sed -n 1p

say "Write again: the key is rotated, every name moves at once"
echo "\$ echo ******** > $mount/payments/control"
echo "$password" > "$mount/payments/control"
run cat "$mount/payments/client_key_id"
after=$(cat "$mount/payments/client_key_id")
run ls "$mount/payments/keys"
run "$build/fs/aapfs" status -m "$mount"

say "Done: $before was replaced by $after"
[ "$before" != "$after" ]
