#!/bin/bash
# Tries build/static/ocirun (make static) in other systems: each is a root file system of a mount namespace, with a
# container of the same files, from `create` to `delete`.
#
# A SYSTEM is a directory with a root file system, which stays as it is, or a suite that debootstrap makes for the time.
#
# Usage: conformance/machines/static.sh SYSTEM...
set -euo pipefail

tree=$(cd "$(dirname "$0")/../.." && pwd)
program=$tree/build/static/ocirun

# What runs there, with nothing else of this machine.
life=$(cat <<'END'
set -e
cd /bundle
/ocirun --version | grep -q "(image)"
/ocirun spec
sed -i "s/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sleep\", \"100\"/" config.json
/ocirun validate > /dev/null
/ocirun create one < /dev/null
/ocirun start one
/ocirun exec one cat /etc/os-release < /dev/null | sed -n "s/^PRETTY_NAME=//p"
/ocirun ps --format json one > /dev/null
/ocirun events --stats one > /dev/null
/ocirun update --pids-limit 20 one
/ocirun pause one
/ocirun resume one
/ocirun kill one KILL
while ! /ocirun state one | grep -q stopped; do sleep 0.1; done
/ocirun delete one
sed -i "s/\"sleep\", \"100\"/\"true\"/" config.json
/ocirun run two < /dev/null
test -z "$(/ocirun list --quiet)"
END
)

# The second run, inside the new namespace.
if [ "${1:-}" = --inside ]; then
	lower=$2 scratch=$3
	mount -t tmpfs -o mode=755 tmpfs "$scratch"
	mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
	mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$scratch/root"
	cd "$scratch/root"
	mount --rbind /sys sys
	mount --rbind /dev dev
	mount -t proc proc proc
	mkdir -p bundle/rootfs old
	mount --bind "$lower" bundle/rootfs
	cp "$program" ocirun
	pivot_root . old
	exec chroot . /bin/sh -c "umount -l /old && $life"
fi

[ $# -gt 0 ] || { sed -n 's/^# Usage/usage/p' "$0" >&2; exit 2; }
scratch=$(mktemp -d /var/tmp/ocirun-static.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/mount"
for system; do
	root=$system
	if [ ! -d "$system" ]; then
		root=$scratch/$system
		debootstrap --variant=minbase "$system" "$root" > "$scratch/log" || { tail "$scratch/log" >&2; exit 1; }
	fi
	unshare --mount "$0" --inside "$(realpath "$root")" "$scratch/mount"
	echo "$system: passed"
done
