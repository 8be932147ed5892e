#!/bin/sh
# A private view of the file system for one peer: unshare -m -p -f --mount-proc jail.sh ROOT DATA CMD...
# /usr and /etc show the peer's unpacked package over the machine's; /var and /run are folders of DATA.
# Nothing of the machine is changed. Debian's mail servers conflict with each other when installed; so they can coexist.
set -e
root=$1 data=$2
shift 2
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$root/usr:/usr" /usr
etc=$data/etc:/etc
[ -d "$root/etc" ] && etc=$data/etc:$root/etc:/etc
mount -t overlay overlay -o "lowerdir=$etc" /etc
mount --bind "$data/var" /var
mount --bind "$data/run" /run
cd /
exec "$@"
