"""A systemd unit without systemd: its words, and its service started with the user, rights and file systems that it names."""
import os
import shlex

import ground


class Unit:
    def __init__(self, path):
        self.words = {}
        for line in path.read_text().splitlines():
            if line and line[0] not in "#;[":
                key, _, value = line.partition("=")
                self.words.setdefault(key, []).append(value)

    def __getitem__(self, key):
        """The one value."""
        (value,) = self.words[key]
        return value

    def start(self, root, log, prefix=()):
        """Of the sandbox, what a plain kernel has: read-only file systems, /proc of itself alone, no other capability."""
        assert self["User"] == self["Group"] == "waypost" and self["StateDirectory"] == "waypost"
        assert self["AmbientCapabilities"] == self["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
        assert (self["ProtectSystem"], self["ProcSubset"], self["PrivateTmp"]) == ("strict", "pid", "yes")
        port = "-all,+net_bind_service"
        rights = ["setpriv", "--reuid", "waypost", "--regid", "waypost", "--clear-groups", "--no-new-privs",
                  "--inh-caps", port, "--ambient-caps", port, "--bounding-set", port]
        mounts = """
            set -e
            mount --rbind "$0" "$0"; mount -o remount,ro,bind "$0"
            mount --bind "$0/var/lib/waypost" "$0/var/lib/waypost"; mount -o remount,rw,bind "$0/var/lib/waypost"
            umount -q "$0/proc" || true
            mount -t proc -o subset=pid,hidepid=invisible proc "$0/proc"
            mount -t tmpfs tmpfs "$0/tmp"
            root=$0 place=$1 mask=$2; shift 2
            umask "$mask"
            exec "$@"
        """
        # The directory is made, and given to the user, by systemd.
        state = root / "var/lib/waypost"
        assert state.is_dir(), "the package makes the state directory too"
        command = ["unshare", "-m", "sh", "-c", mounts, str(root), self["WorkingDirectory"], self["UMask"], *prefix,
                   "chroot", str(root), *rights, "env", "-C", self["WorkingDirectory"], *shlex.split(self["ExecStart"])]
        return ground.start(command, log, env={"PATH": os.environ["PATH"]})
