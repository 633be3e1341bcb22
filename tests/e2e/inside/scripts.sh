# What the packages' scripts do to mounts and processes, without packages: run with namespaces of its own for mounts and
# processes, and the programs where a package puts them. Usage: scripts.sh BUILD SCRIPTS WORK URL
set -eu
build=$1 scripts=$2 work=$3
export ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI5tTestOnly ALIBABA_CLOUD_ACCESS_KEY_SECRET=test-only-secret
export ALIBABA_CLOUD_REGION_ID=cn-hangzhou

# nothing of this machine's may be reached: not its mounts, its service manager, its state
while path=$(awk '/ - fuse\.aapfs / { last = $5 } END { print last }' /proc/self/mountinfo) && [ -n "$path" ]; do
    umount -i -l -c -- "$(printf '%b' "$path")"
done
! grep fuse.aapfs /proc/self/mountinfo
mount -t tmpfs tmpfs /run
mkdir -p "$work/over"
mount -t tmpfs tmpfs "$work/over"
overlay() {
    mkdir -p "$work/over/$1/upper" "$work/over/$1/work"
    mount -t overlay -o "lowerdir=/$1,upperdir=$work/over/$1/upper,workdir=$work/over/$1/work" overlay "/$1"
}
overlay usr
overlay var/lib
mkdir -p /usr/libexec/aapfs
cp "$build/fs/aapfs" /usr/bin/aapfs
cp "$build/fs/aapfs-volume-plugin" /usr/libexec/aapfs/volume-plugin

trap 'status=$?; [ $status = 0 ] || tail -n 20 "$work"/*.log; exit $status' EXIT
say() { echo "== $*"; }
mounts() { grep -c fuse.aapfs /proc/self/mountinfo || true; }
until_true() {
    tries=300
    until eval "$1"; do
        [ $tries -gt 0 ] || { printf 'not within 30 s: %s\n' "$1"; exit 1; }
        tries=$((tries - 1))
        sleep 0.1
    done
}
# aapfs at a place, in the background of this shell: $started is its supervisor
start() {
    name=$1 place=$2
    shift 2
    mkdir -p "$place"
    : > "$work/$name.conf"
    (umask 077; openssl rand -hex 32 > "$work/$name.key")
    aapfs -f -c "$work/$name.conf" --endpoint "$url" --state "$work/$name.state" --state-key "$work/$name.key" "$@" "$place" \
        < /dev/null > "$work/$name.log" 2>&1 &
    started=$!
    until_true "[ -e '$place/payments/control' ]"
}
worker_of() {
    for child in $(cat "/proc/$1/task/$1/children"); do
        [ "$(cat "/proc/$child/comm")" != aapfs-worker ] || echo "$child"
    done
}
version() { sed -n 's/.*"Version": "\([^"]*\)".*/\1/p' "$1/.aapfs/status"; }
url=$4

odd=$(printf '%s/1 0a\\b\n100%%d\t1' "$work")
start good "$odd/aap"
good=$started
start readonly "$work/readonly" -o ro
readonly=$started
start dead "$work/dead"
kill -STOP $started
kill -9 $(cat "/proc/$started/task/$started/children")
kill -9 $started
start silent "$work/silent"
silent=$started
kill -STOP $silent $(worker_of $silent)
mkdir "$work/bind"
mount --bind "$odd/aap/payments" "$work/bind"

say upgrade
worker=$(worker_of $good) old=$(version "$odd/aap")
exec 3< "$odd/aap/payments/status"
cp "$build/fs/aapfs-next" /usr/bin/aapfs.new
mv /usr/bin/aapfs.new /usr/bin/aapfs
began=$(date +%s)
sh "$scripts/aapfs.postinst" configure 0.1.0 2> "$work/postinst.log"
took=$(($(date +%s) - began))
cat "$work/postinst.log"
[ "$took" -le 20 ]
[ -n "$worker" ] && [ "$(worker_of $good)" != "$worker" ]
[ "$(version "$odd/aap")" != "$old" ]
cat <&3 > /dev/null
exec 3<&-
[ "$(version "$work/readonly")" != "$old" ]
grep -qF "aapfs: $work/dead has no daemon that answers" "$work/postinst.log"
grep -qF "aapfs: $work/silent has no daemon that answers" "$work/postinst.log"
[ "$(wc -l < "$work/postinst.log")" = 2 ]

kill -HUP $readonly
until_true "grep -q reloaded '$work/readonly.log'"

say remove
# each in the way of it: a working directory, an open file, a bind of a file, a plugin that binds, what stands still
(cd "$odd/aap/payments"; exec sleep 1000) &
inside=$!
exec 3< "$odd/aap/payments/status"
touch "$work/one"
mount --bind "$odd/aap/.aapfs/status" "$work/one"
mount --bind "$odd/aap" "$work/bind"
mount --bind "$odd/aap" "$work/bind"
/usr/libexec/aapfs/volume-plugin --socket "$work/plugin.sock" "$odd/aap" > "$work/plugin.log" 2>&1 &
until_true "[ -S '$work/plugin.sock' ]"
mkdir "$work/covered"
start covered "$work/covered"
mount -t tmpfs tmpfs "$work/covered"
# and others, which stay: another program of the machine's, and one in a container
cp /usr/bin/sleep /usr/libexec/aapfs-other
/usr/libexec/aapfs-other 1000 &
other=$!
mkdir -p "$work/root/usr" "$work/root/run/aap/payments"
ln -s usr/bin usr/lib usr/lib64 "$work/root"
mkfifo "$work/root/fifo"
unshare -m sh -c 'mount --bind "$0" "$0"; mount --bind /usr "$0/usr"; cd "$0"; pivot_root . .; umount -l .
                  exec aapfs create --password-file /fifo payments' "$work/root" &
contained=$!
until_true "readlink /proc/$contained/exe | grep -q '^/usr/bin/aapfs$'"
sed 's/wait_for_their_end 45/wait_for_their_end 6/' "$scripts/aapfs.prerm" > "$work/prerm"
grep -q 'wait_for_their_end 6 ' "$work/prerm"
sh "$work/prerm" upgrade 0.1.1
[ -d "/proc/$good" ]
# KMS, told so by the test, takes 3 s to make this key: nobody else will ever have it
echo Correct-Horse1 > "$odd/aap/payments/control" 2> /dev/null &
until_true "[ -n \"\$(find '$work/good.state' -name '*intent*')\" ]"
sh "$work/prerm" remove
until_true "! [ -e /proc/$good/exe ]"
grep fuse.aapfs /proc/self/mountinfo || true
# what somebody else's mount covers stays out of reach
[ "$(mounts)" = 1 ] && [ "$(awk '{ last = $5 } $5 ~ "/covered$" { print }' /proc/self/mountinfo | wc -l)" = 2 ]
umount "$work/covered"
umount -l "$work/covered"
for process in $(find /proc -maxdepth 2 -name exe \( -lname '/usr/bin/aapfs*' -o -lname '/usr/libexec/aapfs/*' \) 2> /dev/null); do
    [ "$process" = "/proc/$contained/exe" ] || { echo "$process $(readlink "$process")"; exit 1; }
done
[ -d "/proc/$contained" ] && [ "$(readlink "/proc/$other/exe")" = /usr/libexec/aapfs-other ] && [ -d "/proc/$inside" ]
if ls "/proc/$inside/cwd/" 2> "$work/ls.log" || ! grep -q "not connected" "$work/ls.log"; then cat "$work/ls.log"; exit 1; fi
kill $contained $other $inside
/usr/bin/aapfs export -c "$work/good.conf" --state "$work/good.state" --state-key "$work/good.key" payments "$work/exported"
find "$work/exported" -name client_key.json | grep -q .

say purge
mkdir -p /var/lib/aapfs-volumes /var/lib/aapfs
touch /var/lib/aapfs-volumes/volumes.json
sh "$scripts/aapfs.postrm" purge 2> "$work/postrm.log"
! [ -e /var/lib/aapfs-volumes ]
[ -d /var/lib/aapfs ] && grep -q 'kept /var/lib/aapfs: ' "$work/postrm.log"
# a service aapfs@volumes keeps its keys there
mkdir -p /var/lib/aapfs-volumes/cn-hangzhou-1
touch /var/lib/aapfs-volumes/volumes.json
sh "$scripts/aapfs.postrm" purge 2> "$work/postrm.log"
[ "$(ls /var/lib/aapfs-volumes)" = cn-hangzhou-1 ] && grep -q 'kept /var/lib/aapfs-volumes: ' "$work/postrm.log"
echo all is well
