"""
anon_vma: how VMAs are linked to the anonymous pages that they may map.

Source: mm/rmap.c. Left out: the reuse of a neighbouring VMA's anon_vma at the first fault.
"""

from __future__ import annotations

from ..kernels.semantics import Linking, Reuse, Semantics
from .mm_types import AnonVma, Machine, Vma


def anon_vma_prepare(machine: Machine, vma: Vma) -> None:
    """First anonymous page of a VMA: a root of its own (_anon_vma_prepare())."""
    if vma.anon_vma is not None:
        return
    anon_vma = _anon_vma_alloc(machine)
    anon_vma.root = anon_vma.parent = anon_vma
    anon_vma.num_children = anon_vma.num_active_vmas = 1
    anon_vma.degree = 2  # itself as its own parent, and the VMA
    vma.anon_vma = anon_vma
    _anon_vma_chain_link(vma, anon_vma)


def _anon_vma_alloc(machine: Machine) -> AnonVma:
    machine.anon_vmas += 1
    return AnonVma(machine.anon_vmas - 1)


def _anon_vma_chain_link(vma: Vma, anon_vma: AnonVma) -> None:
    vma.chain.append(anon_vma)
    anon_vma.tree[vma] = None


def anon_vma_clone(semantics: Semantics, dst: Vma, src: Vma, fork: bool) -> None:
    """Link `dst` to every anon_vma of `src`, oldest first; at fork, maybe take one for its own."""
    for anon_vma in src.chain:
        _anon_vma_chain_link(dst, anon_vma)
        if fork and dst.anon_vma is None and reusable(semantics, anon_vma, src):
            dst.anon_vma = anon_vma
    if dst.anon_vma is not None:
        dst.anon_vma.num_active_vmas += 1
        dst.anon_vma.degree += 1


def reusable(semantics: Semantics, anon_vma: AnonVma, src: Vma) -> bool:
    """Return whether a child of `src` may take `anon_vma` of its chain for its own."""
    if semantics.reuse is Reuse.NEVER:
        return False
    if semantics.reuse is Reuse.DEGREE:
        return anon_vma is not src.anon_vma and anon_vma.degree < 2
    # Since Linux kernel commit 2555283eb40d ("mm/rmap: Fix anon_vma->degree ambiguity leading to
    # double-reuse") (in v6.0), VMAs and children are counted apart.
    return anon_vma.num_active_vmas == 0 and anon_vma.num_children < 2


def anon_vma_fork(machine: Machine, vma: Vma, pvma: Vma) -> None:
    """Link a child's VMA to what its parent's pages need, and give it an anon_vma of its own."""
    if pvma.anon_vma is None:
        return
    if machine.semantics.linking is Linking.SHARED:
        vma.anon_vma = pvma.anon_vma
        _anon_vma_chain_link(vma, pvma.anon_vma)
        return
    anon_vma_clone(machine.semantics, vma, pvma, fork=True)
    if vma.anon_vma is not None:
        return
    anon_vma = _anon_vma_alloc(machine)
    anon_vma.root, anon_vma.parent = pvma.anon_vma.root, pvma.anon_vma
    anon_vma.num_active_vmas = anon_vma.degree = 1
    pvma.anon_vma.num_children += 1
    pvma.anon_vma.degree += 1
    vma.anon_vma = anon_vma
    _anon_vma_chain_link(vma, anon_vma)


def unlink_anon_vmas(vma: Vma) -> None:
    """Take a VMA out of every tree, newest first, and drop the anon_vmas left empty."""
    for anon_vma in reversed(vma.chain):
        del anon_vma.tree[vma]
        if not anon_vma.tree and anon_vma.parent is not None:
            anon_vma.parent.num_children -= 1
            anon_vma.parent.degree -= 1
    if vma.anon_vma is not None:
        vma.anon_vma.num_active_vmas -= 1
        vma.anon_vma.degree -= 1
    vma.anon_vma = None
    vma.chain.clear()


def reinsert(vma: Vma) -> None:
    """A VMA whose bounds changed is taken out of its trees and put in again."""
    for anon_vma in vma.chain:
        del anon_vma.tree[vma]
        anon_vma.tree[vma] = None
