# The packages in a root of their own, with namespaces for mounts and processes; no systemd, no network but loopback.
set -e
export LC_ALL=C ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI5tTestOnly ALIBABA_CLOUD_ACCESS_KEY_SECRET=test-only-secret
trap 'status=$?; [ $status = 0 ] || cat /log /errors; exit $status' EXIT

dpkg -i /packages/aapfs_*.deb > /log 2>&1
mkdir /aap /second /readonly
if aapfs --dev /aap 2> /errors; then exit 90; fi
grep -q aapfs-emulator /errors
dpkg -i /packages/aapfs-emulator_*.deb > /log 2>&1
aapfs --dev /aap
printf 'Correct-Horse1\n' > /password
aapfs create -m /aap --password-file /password payments
/aapfs-tests/mount

# one that an upgrade takes over, and is not started anew
KMS_EMULATOR_ACCESS_KEY=$ALIBABA_CLOUD_ACCESS_KEY_ID:$ALIBABA_CLOUD_ACCESS_KEY_SECRET \
    kms-emulator --listen 127.0.0.1:18443 --aap payments > /listening &
until grep -q listening /listening; do sleep 0.1; done
mount -t aapfs -o region=cn-hangzhou,endpoint=http://127.0.0.1:18443 aapfs /second
mount -t aapfs -o ro,region=cn-hangzhou,endpoint=http://127.0.0.1:18443,state=/other-state aapfs /readonly
until [ -e /second/payments/control ]; do sleep 0.1; done
aapfs create -m /second --password-file /password payments > /key_id
mkdir /bind
mount --bind /second/payments /bind
touch /run/reading
(while [ -e /run/reading ]; do cat /second/payments/client_key.json /bind/client_key_id > /dev/null || exit 1; done) &
reader=$!
exec 3< /second/payments/client_key.json

# the supervisor of the mount at $1: the parent of the worker with its state
supervisor() {
    for comm in $(grep -lx aapfs-worker /proc/[0-9]*/comm 2> /dev/null); do
        parent=$(sed -n 's/^PPid:[[:space:]]*//p' "${comm%/comm}/status" 2> /dev/null) || continue
        if tr '\0' '\n' 2> /dev/null < "/proc/$parent/cmdline" | grep -qx "$1"; then echo "$parent"; fi
    done
}
version() { sed -n 's/.*"Version": "\([^"]*\)".*/\1/p' "$1/.aapfs/status"; }
before=$(supervisor /second)
[ -n "$before" ] && [ "$(version /second)" = "$VERSION" ]
dpkg -i /packages/next/aapfs_*.deb > /log 2>&1
grep '/aap goes on with the version before' /log
if grep -e '/second' -e '/readonly' /log; then exit 91; fi
[ "$(version /second)" = "$NEXT" ] && [ "$(version /readonly)" = "$NEXT" ]
[ "$(supervisor /second)" = "$before" ] && [ "/proc/$before/exe" -ef /usr/bin/aapfs ]
[ "$(cat /bind/client_key_id)" = "$(cat /key_id)" ]
cat <&3 | cmp - /second/payments/client_key.json
rm /run/reading
wait $reader
exec 3<&-

dpkg -r aapfs > /log 2>&1
if grep fuse.aapfs /proc/self/mountinfo; then exit 92; fi
[ -z "$(find /proc -maxdepth 2 -name exe -lname '*bin/aapfs*' 2> /dev/null)" ]
ls /var/lib/aapfs/*/ > /dev/null
[ -s /etc/aapfs/state.key ]
[ -e /etc/aapfs/aapfs.conf ]
dpkg -P aapfs > /log 2>&1
grep 'aapfs: kept /var/lib/aapfs: ' /log
grep 'aapfs: kept /etc/aapfs/state.key: ' /log
[ -s /etc/aapfs/state.key ]
if [ -e /etc/aapfs/aapfs.conf ]; then exit 93; fi
echo all is well
