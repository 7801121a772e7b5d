#!/bin/sh
# Sees to the Debian packages that rmapwatch and its lab need: installs what is missing where root
# or a sudo without a password allows, and otherwise says what to type.
set -eu

wanted="python3 python3-venv python3-bpfcc gcc libc6-dev make
        qemu-system-x86 busybox-static kmod zstd xz-utils tmux cpio"
missing=""
for package in $wanted; do
	state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=""
elif sudo -n true 2>/dev/null; then
	as_root="sudo"
else
	echo "rmapwatch: these packages are missing:$missing" >&2
	echo "hint: sudo apt-get install -y$missing" >&2
	exit 1
fi
echo "rmapwatch: installing$missing" >&2
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
