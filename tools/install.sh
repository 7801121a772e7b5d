#!/bin/sh
# Installs rmapwatch for root: a virtual environment of its own and one link.
set -eu

prefix=$1
bin=$2
here=$(cd "$(dirname "$0")/.." && pwd)

if [ "$(id -u)" != 0 ]; then
	echo "rmapwatch: $prefix cannot be written: this needs root" >&2
	echo "hint: sudo make install" >&2
	exit 3
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
# A copy, so that the source tree gets no file of root's.
tar -C "$here" --exclude=./.venv --exclude=./.git --exclude=./.cache -cf - . | tar -C "$build" -xf -
/usr/bin/python3 -m venv --clear "$prefix"
"$prefix/bin/python" -m pip install --quiet --disable-pip-version-check "$build[record]"
mkdir -p "$bin"
ln -sfn "$prefix/bin/rmapwatch" "$bin/rmapwatch"
echo "installed $("$bin/rmapwatch" --version) as $bin/rmapwatch"
