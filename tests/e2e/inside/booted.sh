# The packages in a booted system, from their installation to their purge. Prints what it did, and at the end that all is
# well. Run as a service: VERSION and NEXT are those of /packages and /packages/next; the key pool is /out/pool.pem.
set -eu
export LC_ALL=C
mount=/run/aap unit=aapfs.service odd='a\x2db'
trap 'status=$?; [ $status = 0 ] || { cat /root/log; grep fuse.aapfs /proc/self/mountinfo; journalctl -b --no-pager -n 40 -u "aapfs*" -o cat; }; exit $status' EXIT

say() { echo "== $(date +%T) $*"; }
show() { systemctl show -P "$1" "${2:-$unit}"; }
until_true() {
    tries=300
    until eval "$1"; do
        [ $tries -gt 0 ] || { echo "not within 30 s: $1"; exit 1; }
        tries=$((tries - 1))
        sleep 0.1
    done
}
version() { sed -n 's/.*"Version": "\([^"]*\)".*/\1/p' "$1/.aapfs/status"; }
programs() { find /proc -maxdepth 2 -name exe \( -lname '/usr/bin/aapfs*' -o -lname '/usr/libexec/aapfs/*' \) 2> /dev/null || true; }
nothing_is_left() {
    if grep fuse.aapfs /proc/self/mountinfo; then exit 91; fi
    [ -z "$(programs)" ] || { programs; exit 92; }
    for name in $unit "aapfs@$odd.service" aapfs-volume-plugin.service aapfs-volume-plugin.socket; do
        case $(show ActiveState "$name") in inactive | failed) ;; *) echo "$name: $(show ActiveState "$name")"; exit 93 ;; esac
    done
}
plugin() {
    perl -MIO::Socket::UNIX -e '
        my ($method, $body) = @ARGV;
        my $socket = IO::Socket::UNIX->new(Peer => "/run/docker/plugins/aapfs.sock") or die "connect: $!";
        printf $socket "POST /VolumeDriver.%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" .
            "Connection: close\r\n\r\n%s", $method, length $body, $body;
        print <$socket>' "$1" "$2" | grep -q '"Err":""'
}
hold() {
    (cd "$1"; exec sleep 1000) &
    until_true "[ /proc/$!/cwd -ef '$1' ]"
}

say install
dpkg -i /packages/aapfs_*.deb /packages/aapfs-emulator_*.deb > /root/log 2>&1
for name in $unit aapfs-volume-plugin.service aapfs-volume-plugin.socket; do
    case $(show ActiveState "$name")-$(show UnitFileState "$name") in inactive-disabled | inactive-indirect) ;; *) exit 90 ;; esac
done
umask 077
mkdir -p /etc/credstore
printf LTAI5tTestOnly > /etc/credstore/aapfs.access-key-id
printf test-only-secret > /etc/credstore/aapfs.access-key-secret
printf '%s\n' 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef > /etc/credstore/aapfs.state-key
umask 022
printf '[kms]\nregion = cn-hangzhou\nendpoint = http://127.0.0.1:8443\n' > /etc/aapfs/aapfs.conf
cp /etc/aapfs/aapfs.conf "/etc/aapfs/$odd.conf"
systemd-run --quiet --unit=kms -E KMS_EMULATOR_ACCESS_KEY=LTAI5tTestOnly:test-only-secret \
    kms-emulator --listen 127.0.0.1:8443 --aap payments --key-pool 8 --key-pool-file /out/pool.pem
systemctl --quiet enable --now $unit aapfs-volume-plugin.socket
systemctl start "aapfs@$odd.service"
until_true "[ -e $mount/payments/control ]"
echo Correct-Horse1 > /run/password
key=$(aapfs create --password-file /run/password payments)
plugin Create '{"Name":"kms","Opts":{"aap":"payments"}}'
plugin Mount '{"Name":"kms","ID":"1"}'
[ "$(cat /run/aapfs-volumes/kms/client_key_id)" = "$key" ]

say upgrade
exec 3< $mount/payments/client_key.json
hold $mount/payments
pid=$(show MainPID) odd_pid=$(show MainPID "aapfs@$odd.service") plugin=$(show MainPID aapfs-volume-plugin.service)
[ "$(version $mount)" = "$VERSION" ]
dpkg -i --force-confold /packages/next/aapfs_*.deb > /root/log 2>&1
[ "$(version $mount) $(version "$mount-$odd")" = "$NEXT $NEXT" ]
[ "$(show MainPID) $(show NRestarts) $(show MainPID "aapfs@$odd.service")" = "$pid 0 $odd_pid" ]
[ "/proc/$pid/exe" -ef /usr/bin/aapfs ]
[ "$(show NeedDaemonReload) $(show TimeoutStopUSec)" = "no 46s" ]
new_plugin=$(show MainPID aapfs-volume-plugin.service)
[ "$new_plugin" != "$plugin" ] && [ "/proc/$new_plugin/exe" -ef "$(readlink "/proc/$new_plugin/exe")" ]
cat <&3 | cmp - $mount/payments/client_key.json
[ "$(cat /run/aapfs-volumes/kms/client_key_id)" = "$key" ]

say remove
began=$(date +%s)
dpkg -r aapfs > /root/log 2>&1
[ $(($(date +%s) - began)) -le 30 ]
nothing_is_left
[ -n "$(ls "/var/lib/aapfs/")" ] && [ -n "$(ls "/var/lib/aapfs-$odd")" ]
exec 3<&-

say 'a mount by hand, removed with somebody in it'
dpkg -i /packages/next/aapfs_*.deb > /root/log 2>&1
mkdir /mnt/by-hand
ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI5tTestOnly ALIBABA_CLOUD_ACCESS_KEY_SECRET=test-only-secret \
    mount -t aapfs -o state=/root/state,state_key=/etc/credstore/aapfs.state-key /etc/aapfs/aapfs.conf /mnt/by-hand
until_true "[ -e /mnt/by-hand/payments/control ]"
hold /mnt/by-hand/payments
dpkg -r aapfs > /root/log 2>&1
nothing_is_left

say 'upgraded and removed while the service waits for its next try'
dpkg -i /packages/next/aapfs_*.deb > /root/log 2>&1
systemctl start $unit
[ "$(cat $mount/payments/client_key_id)" = "$key" ]
echo 'nonsense = 1' >> /etc/aapfs/aapfs.conf
if systemctl restart $unit 2> /root/log; then exit 94; fi
grep -q fuse.aapfs /proc/self/mountinfo
began=$(date +%s)
dpkg -i --force-confold /packages/next/aapfs_*.deb > /root/log 2>&1
[ $(($(date +%s) - began)) -le 20 ]
grep "$mount has no daemon that answers" /root/log
dpkg -r aapfs > /root/log 2>&1
nothing_is_left

say purge
dpkg -P aapfs > /root/log 2>&1
grep 'kept /var/lib/aapfs: ' /root/log
[ -n "$(ls /var/lib/aapfs/)" ] && [ -n "$(ls "/var/lib/aapfs-$odd")" ]
if [ -e /var/lib/aapfs-volumes ]; then exit 95; fi
if find /etc/systemd /var/lib/systemd/deb-systemd-helper* -name 'aapfs*' | grep .; then exit 96; fi
echo all is well
