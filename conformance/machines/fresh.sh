#!/bin/bash
# `make fresh`: proves the README's two commands on a bare machine.
#
# Clones this tree (its last commit) into a bare Debian, made by debootstrap, that has only git, make, gcc, python3,
# python3-dev and python3-venv, and runs `make demo` and `make test` there once each. The machine is a mount, pid and uts
# namespace with that root; it sees the host's cgroups and network, which containers need.
#
# The host decides how packages are reached: its settings of apt, pip, certificates, resolver and proxies are passed on.
#
# Usage: conformance/machines/fresh.sh [SUITE]
#
# KEEP=1 leaves the root directory where it is. For another distribution than this machine's: MIRROR is where its packages are,
# AREAS which of them (main,universe), and SCRIPT the suite whose debootstrap script serves, if SUITE has none.
set -euo pipefail

suite=${1:-bookworm}
packages=git,make,gcc,python3,python3-dev,python3-venv
tree=$(cd "$(dirname "$0")/../.." && pwd)

# The second run, inside the new namespaces.
if [ "${1:-}" = --inside ]; then
	root=$2
	mount --make-rprivate /
	mount --bind "$root" "$root"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	cd "$root"
	pivot_root . mnt
	umount -l /mnt
	cd /root/ocirun
	for command in 'make demo' 'make test'; do
		printf '\n$ %s\n' "$command"
		begin=$SECONDS
		env -i HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			"${@:3}" bash -c "$command" </dev/null
		printf '%s: passed in %d s\n' "$command" "$((SECONDS - begin))"
	done
	exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
	echo 'make fresh: needs root, for the new machine' >&2
	exit 1
fi
"$tree/.ci/packages" debootstrap

base=$(mktemp -d "${TMPDIR:-/var/tmp}/ocirun-fresh.XXXXXX")
root=$base/root
remove() {
	if [ -z "${KEEP:-}" ]; then
		rm -rf --one-file-system "$base"
	else
		echo "kept: $root"
	fi
}
trap remove EXIT

# This machine's mirror, if it is a Debian too.
# shellcheck disable=SC2016 # apt-get replaces the word itself
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1 || true)}
echo "debootstrap $suite"
debootstrap --variant=minbase --include="$packages,ca-certificates" ${AREAS:+--components="$AREAS"} \
	"$suite" "$root" ${mirror:+"$mirror"} ${SCRIPT:+"$SCRIPT"} >"$base/log" 2>&1 || {
	tail -n 20 "$base/log" >&2
	exit 1
}

# The host's settings, at run time only.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
for setting in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
	if [ -e "$setting" ]; then
		mkdir -p "$root$(dirname "$setting")"
		cp -L "$setting" "$root$setting"
	fi
done
if grep -q "^VERSION_CODENAME=$suite$" /etc/os-release && [ -e /etc/apt/sources.list.d/debian.sources ]; then
	rm -f "$root/etc/apt/sources.list"
	cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/"
fi
grep -lE '^ *Acquire::' /etc/apt/apt.conf.d/* 2>/dev/null | while read -r setting; do
	cp "$setting" "$root/etc/apt/apt.conf.d/"
done

git clone -q --no-local "$tree" "$root/root/ocirun"
# The spec's own schemas and examples, which some tests compare with, are not in the clone.
reference=${OCI_REFERENCE:-$tree/../shared/oci-reference}
if [ -d "$reference" ]; then
	mkdir -p "$root/root/shared"
	cp -r "$reference" "$root/root/shared/oci-reference"
fi

passed=()
while IFS= read -r name; do
	passed+=("$name=${!name}")
done < <(compgen -e | grep -iE '^(pip_(cert|default|disable|index|extra|trusted|proxy)|https?_proxy|no_proxy|ssl_cert|requests_ca|curl_ca)' || true)

unshare --mount --pid --fork --uts --kill-child -- "$tree/conformance/machines/fresh.sh" --inside "$root" "${passed[@]}"
echo 'make fresh: both commands passed'
