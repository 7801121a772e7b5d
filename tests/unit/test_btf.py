"""The BTF reader, on a blob written here by hand."""

import struct

import pytest
from rmapwatch.kernels.btf import Btf, BtfError

INT, PTR, STRUCT, UNION, ENUM, FUNC, FUNC_PROTO, CONST = 1, 2, 4, 5, 6, 12, 13, 10
ENUM64 = 19


class Blob:
    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""
        self.count = 0

    def name(self, text: str) -> int:
        if not text:
            return 0
        at = self.strings.find(b"\0" + text.encode() + b"\0")
        if at >= 0:
            return at + 1
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def add(
        self, kind: int, name: str, size: int, *words: int, vlen: int = 0, flag: int = 0
    ) -> int:
        info = flag << 31 | kind << 24 | vlen
        self.types += struct.pack(f"<III{len(words)}I", self.name(name), info, size, *words)
        self.count += 1
        return self.count

    def btf(self) -> Btf:
        head = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings)
        )
        return Btf(head + self.types + self.strings)


@pytest.fixture
def btf() -> Btf:
    blob = Blob()
    integer = blob.add(INT, "int", 4, 32)
    inner = blob.add(STRUCT, "", 16, blob.name("index"), integer, 64, vlen=1)
    union = blob.add(UNION, "", 16, 0, inner, 0, vlen=1)
    folio = blob.add(STRUCT, "folio", 32, blob.name("flags"), integer, 0, 0, union, 128, vlen=2)
    pointer = blob.add(PTR, "", folio)
    const = blob.add(CONST, "", folio)
    const_pointer = blob.add(PTR, "", const)
    proto = blob.add(
        FUNC_PROTO, "", integer, blob.name("folio"), pointer, blob.name("c"), const_pointer, vlen=2
    )
    blob.add(FUNC, "folio_mapcount", proto)
    blob.add(ENUM, "ttu_flags", 4, blob.name("TTU_SYNC"), 16, vlen=1)
    qualified = blob.add(CONST, "", inner)
    blob.add(STRUCT, "vm_fault", 24, 0, qualified, 64, vlen=1)
    blob.add(STRUCT, "bits", 8, blob.name("b"), integer, 3 << 24 | 40, vlen=1, flag=1)
    return blob.btf()


def test_offsets_go_through_anonymous_members(btf: Btf) -> None:
    folio = btf.structs(["folio", "no_such_struct"])
    assert folio.keys() == {"folio"}
    assert folio["folio"].size == 32
    assert folio["folio"].offsets == {"flags": 0, "index": 24}


def test_anonymous_members_may_be_const(btf: Btf) -> None:
    assert btf.structs(["vm_fault"])["vm_fault"].offsets == {"index": 16}


def test_prototypes(btf: Btf) -> None:
    found = btf.functions(["folio_mapcount", "folio"])
    assert found["folio_mapcount"].params == (
        ("folio", "struct folio *"),
        ("c", "const struct folio *"),
    )
    assert found["folio_mapcount"].returns == "int"
    assert found["folio_mapcount"].btf_id == 9
    assert "folio" not in found


def test_enums_and_bit_fields(btf: Btf) -> None:
    assert btf.enums(["ttu_flags"]) == {"ttu_flags": {"TTU_SYNC": 16}}
    assert btf.structs(["bits"])["bits"].offsets == {"b": 5}


def test_what_is_not_btf_is_refused() -> None:
    with pytest.raises(BtfError):
        Btf(b"\x7fELF" + bytes(40))
    blob = Blob()
    blob.add(31, "", 0)
    with pytest.raises(BtfError, match="31"):
        blob.btf()


def test_what_is_found_is_in_the_order_of_the_kernel(btf: Btf) -> None:
    """Whatever order it was asked in: text made of it is the same each time."""
    asked = ["bits", "vm_fault", "folio"]
    assert list(btf.structs(asked)) == list(btf.structs(reversed(asked))) == asked[::-1]


def test_types_are_gone_through_once(btf: Btf) -> None:
    """A start asks for one function after another; a kernel has 100,000 types and more."""
    assert btf.functions(["folio_mapcount"])
    btf._at = None  # type: ignore[assignment]
    assert btf.functions(["no_such_function"]) == {}


def test_of_types_of_one_name_the_first_counts() -> None:
    """Of each sort: a struct and an enum may share a name."""
    blob = Blob()
    blob.add(ENUM, "twice", 4, blob.name("FIRST"), 1, vlen=1)
    blob.add(STRUCT, "twice", 8)
    blob.add(UNION, "twice", 16)
    blob.add(ENUM, "twice", 4, blob.name("SECOND"), 2, vlen=1)
    found = blob.btf()
    assert found.enums(["twice"]) == {"twice": {"FIRST": 1}}
    assert found.structs(["twice"])["twice"].size == 8


def test_values_of_64_bits() -> None:
    blob = Blob()
    blob.add(ENUM64, "flags", 8, blob.name("HIGH"), 1, 2, blob.name("LOW"), 3, 0, vlen=2)
    assert blob.btf().enums(["flags"]) == {"flags": {"HIGH": (2 << 32) + 1, "LOW": 3}}
