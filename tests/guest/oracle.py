"""
A second observer of walks, written the other way round: bcc's own attachment, hash maps by thread.

Run by the distribution's Python: `oracle.py FILE SYMBOL...`. Prints "ready"; after a line on stdin
it prints how many walks it followed and how many began, counting those that the kernel ran none of
its programs for, and leaves (tid, begin, end) of those it followed in FILE.
"""

import mmap
import struct
import sys
from pathlib import Path

from bcc import BPF

ROWS = 1 << 17
PROGRAM = """
struct row { u64 tid; u64 begin; u64 end; };
struct call { u64 begin; u64 arguments[2]; };
BPF_HASH(begun, u32, struct call, 16384);
BPF_F_TABLE("array", u32, struct row, rows, ROWS, BPF_F_MMAPABLE);
BPF_ARRAY(seen, u64, 1);
BPF_ARRAY(entered, u64, 1);

static inline int begin(u64 *ctx)
{
    u32 tid = bpf_get_current_pid_tgid(), zero = 0;
    struct call call = { .begin = bpf_ktime_get_ns() };
    u64 *n = entered.lookup(&zero);
    if (n)
        __sync_fetch_and_add(n, 1);
    bpf_probe_read_kernel(call.arguments, sizeof(call.arguments), ctx);
    begun.update(&tid, &call);
    return 0;
}

static inline int end(u64 *ctx)
{
    u64 now = bpf_ktime_get_ns(), arguments[2] = {};
    u32 tid = bpf_get_current_pid_tgid(), zero = 0, place;
    struct call *call = begun.lookup(&tid);
    u64 *n = seen.lookup(&zero);
    struct row *row;
    if (!call || !n)
        return 0;
    bpf_probe_read_kernel(arguments, sizeof(arguments), ctx);
    if (call->arguments[0] != arguments[0] || call->arguments[1] != arguments[1]) {
        begun.delete(&tid);
        return 0;
    }
    place = TAKE;
    row = rows.lookup(&place);
    if (row) {
        row->tid = tid;
        row->begin = call->begin;
        row->end = now;
    }
    begun.delete(&tid);
    return 0;
}
"""
PAIR = """
KFUNC_PROBE({symbol}) {{ return begin(ctx); }}
KRETFUNC_PROBE({symbol}) {{ return end(ctx); }}
"""
# Kernels before 5.12 add atomically but do not say to what: there a place is kept by CPU.
PLACES = """
BPF_ARRAY(taken, u64, CPUS);
static inline u32 take(void)
{
    u32 cpu = bpf_get_smp_processor_id();
    u64 *n = taken.lookup(&cpu);
    return n ? (u32)(*n)++ * CPUS + cpu : ROWS;
}
"""


def skipped(bpf: BPF) -> int:
    """How often the kernel skipped an entry program because one was preempted on that CPU."""
    programs = [f.fd for name, f in bpf.funcs.items() if name.startswith(b"kfunc__")]
    lines = [
        line.split()
        for fd in programs
        for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    ]
    return sum(int(line[1]) for line in lines if line[0] == "recursion_misses:")


def main(path: str, *symbols: str) -> None:
    cpus = 2
    text = PROGRAM.replace("static inline int begin", PLACES + "static inline int begin", 1)
    text = text.replace("TAKE", "take(); __sync_fetch_and_add(n, 1)")
    text = text.replace("CPUS", str(cpus)).replace("ROWS", str(ROWS))
    bpf = BPF(
        text=text + "".join(PAIR.format(symbol=symbol) for symbol in symbols),
        cflags=["-Wno-everything"],
    )
    size = ROWS * 24
    area = mmap.mmap(bpf["rows"].map_fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    print("ready", flush=True)
    for _ in sys.stdin:
        used = max(value.value for value in bpf["taken"].values()) * cpus
        rows = [row for row in struct.iter_unpack("<QQQ", area[: min(used, ROWS) * 24]) if row[0]]
        Path(path).write_bytes(b"".join(struct.pack("<QQQ", *row) for row in rows))
        print(bpf["seen"][0].value, bpf["entered"][0].value + skipped(bpf), flush=True)


main(*sys.argv[1:])
