"""
A second observer of walks, written the other way round: bcc's own attachment, hash maps by thread.

Run by the distribution's Python. Prints "ready", and after a line on stdin what it counted.
"""

import json
import sys

from bcc import BPF

PROGRAM = """
struct totals { u64 walks; u64 ns; u64 long_walks; u64 long_ns; };
BPF_HASH(started, u32, u64, 16384);
BPF_HASH(counted, u32, struct totals, 16);

static inline int begin(void)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    started.update(&tid, &now);
    return 0;
}

static inline int end(u32 kind)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 *start = started.lookup(&tid), ns;
    struct totals zero = {}, *t;
    if (!start)
        return 0;
    ns = bpf_ktime_get_ns() - *start;
    started.delete(&tid);
    t = counted.lookup_or_try_init(&kind, &zero);
    if (!t)
        return 0;
    __sync_fetch_and_add(&t->walks, 1);
    __sync_fetch_and_add(&t->ns, ns);
    if (ns >= LONG_NS) {
        __sync_fetch_and_add(&t->long_walks, 1);
        __sync_fetch_and_add(&t->long_ns, ns);
    }
    return 0;
}
"""
PAIR = """
KFUNC_PROBE({symbol}) {{ return begin(); }}
KRETFUNC_PROBE({symbol}) {{ return end({number}); }}
"""


def main(long_ns: str, *symbols: str) -> None:
    text = PROGRAM.replace("LONG_NS", f"{long_ns}ULL")
    text += "".join(PAIR.format(symbol=s, number=n) for n, s in enumerate(symbols))
    bpf = BPF(text=text, cflags=["-Wno-everything"])
    print("ready", flush=True)
    for _ in sys.stdin:
        keys = ("walks", "ns", "long_walks", "long_ns")
        rows = {key.value: value for key, value in bpf["counted"].items()}
        told = [{k: getattr(rows[n], k) if n in rows else 0 for k in keys} for n in range(3)]
        print(json.dumps(told), flush=True)


main(*sys.argv[1:])
