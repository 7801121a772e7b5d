"""The first file system of a guest: busybox, a few modules, and a script that finds the rest."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import RmapwatchError
from . import image

WANTED_MODULES = ("virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay")
"""What a guest needs to see the host's files; what a kernel has built in is not looked for."""

_INIT = """\
#!/bin/busybox sh
b=/bin/busybox
for module in /modules/*; do $b insmod "$module"; done
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
host=version=9p2000.L,trans=virtio,msize=512000
$b mount -t 9p -o ro,cache=loose,$host root /lower
$b mount -t tmpfs lab /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root
$b mount -t tmpfs -o mode=0755 run /root/run
$b mkdir -p /root/run/lab /root/lib/modules /root/usr/src
$b mount -t 9p -o rw,cache=none,$host control /root/run/lab
. /root/run/lab/setup.sh
$b mount -t tracefs tracefs /sys/kernel/tracing
$b mount -t debugfs debugfs /sys/kernel/debug
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup
$b mount -t bpf bpf /sys/fs/bpf
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts devpts /dev/pts
$b mount -t tmpfs -o mode=1777 shm /dev/shm
$b ln -s /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do $b ln -s "fd/${n%:*}" "/dev/${n#*:}"; done
echo 0 > /proc/sys/kernel/kptr_restrict
$b ip link set lo up
for port in /sys/class/virtio-ports/*; do
    [ "$($b cat "$port/name")" = command ] && $b ln -s "${port##*/}" /dev/command
done
$b cp $b /root/run/busybox
for each in dev proc sys; do $b mount --move "/$each" "/root/$each"; done
exec $b switch_root /root /bin/sh /run/lab/command.sh
"""


def build(modules: Path | None) -> bytes:
    """Return a newc archive; ``modules`` is ``lib/modules/RELEASE``, None if all is built in."""
    directories = ("bin", "dev", "lower", "modules", "proc", "root", "sys", "upper")
    files = {"bin/busybox": _busybox(), "init": _INIT.encode()}
    for number, path in enumerate(_load_order(modules) if modules else ()):
        files[f"modules/{number:02}-{path.name.partition('.')[0]}.ko"] = _module(path)
    entries = [_entry(name, stat.S_IFDIR | 0o755, b"") for name in directories]
    entries += [_entry(name, stat.S_IFREG | 0o755, data) for name, data in files.items()]
    return b"".join([*entries, _entry("TRAILER!!!", 0, b"")])


def _entry(name: str, mode: int, data: bytes) -> bytes:
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name.encode() + b"\0") + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _busybox() -> bytes:
    path = shutil.which("busybox")
    data = Path(path).read_bytes() if path else b""
    if not data or b"/ld-linux" in data:
        why = "it is linked dynamically" if data else "there is none"
        raise RmapwatchError("no statically linked busybox", why, "sudo apt install busybox-static")
    return data


def _load_order(modules: Path) -> Iterator[Path]:
    """Yield the files of WANTED_MODULES and of what they need, each after its own needs."""
    needs = dict(_dependencies((modules / "modules.dep").read_text().splitlines()))
    by_name = {_module_name(path): path for path in needs}
    seen: set[str] = set()
    for name in WANTED_MODULES:
        path = by_name.get(name)
        for each in [*reversed(needs[path]), path] if path else []:
            if each not in seen:
                seen.add(each)
                yield modules / each


def _dependencies(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    for line in lines:
        path, _, needed = line.partition(":")
        yield path, needed.split()


def _module_name(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def _module(path: Path) -> bytes:
    data = image.decompressed(path.read_bytes())
    if data is None:
        raise RmapwatchError(
            f"{path} cannot be unpacked", "zstd is missing", "sudo apt install zstd"
        )
    return data
