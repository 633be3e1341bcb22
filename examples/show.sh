#!/usr/bin/env bash
# What a person sees of aapfs: the tree, `aapfs status`, and a rotation, on a KMS of its own. README.md shows its output.
# AAPFS names the program, unless it is in PATH or was built here.
set -euo pipefail
aapfs=${AAPFS:-$(command -v aapfs || realpath -e "$(dirname "$0")/../build/fs/aapfs")}
work=$(mktemp -d)
mount=$work/aap
finish() {
    if mountpoint -q "$mount"; then umount "$mount"; fi
    rm -f "$work/password"
    rmdir "$mount" "$work"
}
trap finish EXIT
mkdir "$mount"

# as if it were on /run/aap, where no -m is needed
show() {
    local words="$*"
    printf '$ %s\n' "${words/ -C -w 100 -T 0/}" # which is what ls does on a terminal
    case $1 in
        aapfs) "$aapfs" "$2" -m "$mount" "${@:3}" ;;
        *) "${@//\/run\/aap/$mount}" ;;
    esac 2>&1 | sed "s|$mount|/run/aap|g"
}

"$aapfs" --dev "$mount"
printf 'Correct-Horse1\n' > "$work/password"
"$aapfs" create -m "$mount" --password-file "$work/password" payments > /dev/null

show ls -F -C -w 100 -T 0 /run/aap/payments
show cat /run/aap/payments/client_key_id
show aapfs status
sleep 5 # creation_guard: not two keys of one AAP at a time
printf '$ aapfs rotate payments\nPassword for payments'"'"'s new client key (Enter alone: the kept one):\n'
setsid -w "$aapfs" rotate -m "$mount" payments # without a terminal, which is as Enter
show cat /run/aap/payments/client_key_id
show ls /run/aap/payments/keys
show aapfs status
