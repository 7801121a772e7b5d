#!/bin/sh
# Puts Debian's prometheus and promtool under .cache/prometheus, for the tests. The package is
# unpacked, not installed: installed, it would start a server on this machine.
set -eu

target=$(dirname "$0")/../.cache/prometheus
mkdir -p "$target"
cd "$target"
work=$(mktemp -d ./fetching-XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
if ! (cd "$work" && apt-get download -qq prometheus) 2>"$work/said"; then
	cat "$work/said" >&2
	echo "rmapwatch: Debian's package prometheus cannot be had" >&2
	echo "hint: sudo apt-get update" >&2
	exit 1
fi
dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb |
	tar -x -C "$work" ./usr/bin/prometheus ./usr/bin/promtool
mv "$work"/usr/bin/prom* .
