"""What a kernel's facts keep of its answers."""

from rmapwatch.kernels.facts import Function, KernelFacts, Tracepoint

FACTS = KernelFacts(
    "1",
    "",
    "x86_64",
    functions={"rmap_walk_anon": Function(True), "rmap_walk_file": Function(True)},
    tracepoints={"ksm:ksm_stop_scan": Tracepoint({})},
)


def test_answers_add_up() -> None:
    facts = FACTS.answered("rmap_walk_anon", {"fentry": "ok"})
    facts = facts.answered("rmap_walk_anon", {"fexit": "EBUSY", "kprobe": "ok"})
    facts = facts.answered("ksm:ksm_stop_scan", {"tracepoint": "ok"})
    told = {"fentry": "ok", "fexit": "EBUSY", "kprobe": "ok"}
    assert facts.answers("rmap_walk_anon") == told
    assert facts.answers("rmap_walk_file") == {}
    assert facts.answers("ksm:ksm_stop_scan") == {"tracepoint": "ok"}
    assert FACTS.answers("rmap_walk_anon") == {}, "it is frozen"
