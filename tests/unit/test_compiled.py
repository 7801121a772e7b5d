"""Compiled probes that are kept: the same code under other descriptors, and nobody else's."""

import importlib.machinery
import struct
from pathlib import Path

import pytest
from rmapwatch.errors import NothingAttachedError
from rmapwatch.kernels.image import LINKED_AT, Image
from rmapwatch.probes import compiled
from rmapwatch.probes.compiled import Compiled, MapSpec

SPEC = MapSpec(2, 4, 64, 3, 1024)
MOVE = struct.pack("<BBhi", 0xB7, 1, 0, 7)


def load_64(register: int, source: int, immediate: int, high: int = 0) -> bytes:
    """A 64-bit load, which takes two instructions."""
    first = struct.pack("<BBhi", 0x18, register | source << 4, 0, immediate)
    return first + struct.pack("<BBhi", 0, 0, 0, high)


def program(*maps: int) -> bytes:
    """Loads a plain number that looks like a descriptor, then each of `maps`."""
    plain = load_64(2, 0, 5, high=0x1118)
    return MOVE + plain + b"".join(load_64(1, 1, number) for number in maps) + MOVE


KEPT = Compiled({"state": SPEC, "events": SPEC}, {"walk": program(1, 0), "step": program()})


def test_maps_get_the_descriptors_of_this_process() -> None:
    assert KEPT.linked("walk", {"events": 41, "state": 17}) == program(41, 17)
    assert KEPT.linked("step", {"events": 41, "state": 17}) == program()


def test_the_value_of_a_map_is_taken_of_the_same_map() -> None:
    kept = Compiled(KEPT.maps, {"walk": load_64(1, 1, 0) + load_64(0, 2, 1)})
    linked = kept.linked("walk", {"events": 41, "state": 17})
    assert linked == load_64(1, 1, 17) + load_64(0, 2, 41)


IMAGE = Image(LINKED_AT, LINKED_AT + 0x200_0000, 0x1E60_0000)
INSIDE, THERE = LINKED_AT + 0x1234 - (1 << 64), LINKED_AT + 0x1E60_1234 - (1 << 64)


def with_immediate(opcode: int, immediate: int, source: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, 1 | source << 4, 8, immediate)


def moved(code: bytes) -> bytes:
    return Compiled({}, {"walk": code}).moved(IMAGE).code["walk"]


@pytest.mark.parametrize(
    "opcode", [0x15, 0x55, 0x25, 0xB5, 0x07, 0xB7], ids=["==", "!=", ">", "<=", "add", "move"]
)
def test_an_address_gets_the_place_of_this_boot(opcode: int) -> None:
    assert moved(with_immediate(opcode, INSIDE)) == with_immediate(opcode, THERE)
    first, outside = LINKED_AT - (1 << 64), IMAGE.end - (1 << 64)
    assert moved(with_immediate(opcode, first)) == with_immediate(opcode, first + IMAGE.slide)
    assert moved(with_immediate(opcode, outside)) == with_immediate(opcode, outside)


def test_an_address_that_is_loaded_as_64_bits() -> None:
    assert moved(load_64(1, 0, INSIDE, high=-1)) == load_64(1, 0, THERE, high=-1)
    plain = load_64(1, 0, INSIDE, high=0x1118) + load_64(1, 1, INSIDE, high=-1)
    assert moved(plain) == plain, "another number, and a map"


@pytest.mark.parametrize(
    "opcode",
    [0x16, 0xB4, 0x62, 0x0F, 0x1D],
    ids=["== 32", "move 32", "store", "add", "== register"],
)
def test_what_holds_no_address_stays(opcode: int) -> None:
    assert moved(with_immediate(opcode, INSIDE)) == with_immediate(opcode, INSIDE)


def test_it_survives_being_written() -> None:
    assert Compiled.from_json(KEPT.to_json()) == KEPT


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"maps": {"a": {}}, "code": {}}', '{"maps": 1}'])
def test_what_is_no_compiled_text(text: str) -> None:
    with pytest.raises(ValueError):
        Compiled.from_json(text)


class Compiler:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str, functions: object, maps: object) -> Compiled:
        self.asked.append(text)
        return KEPT


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    bcc = tmp_path / "bcc.py"
    bcc.write_text("")
    spec = importlib.machinery.ModuleSpec("bcc", None, origin=str(bcc))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    monkeypatch.setattr(compiled, "FOLDER", tmp_path / "cache")
    made = Compiler()
    monkeypatch.setattr(compiled, "_compile", made)
    return made


def get(text: str = "int a;") -> Compiled:
    return compiled.get(text, ["walk", "step"], ["state", "events"])


def test_a_text_is_compiled_once(compiler: Compiler) -> None:
    assert [get(), get(), get("int b;")] == [KEPT] * 3
    assert compiler.asked == ["int a;", "int b;"]
    assert compiled.FOLDER.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in compiled.FOLDER.iterdir()} == {0o600}


def test_another_bcc_compiles_anew(compiler: Compiler, tmp_path: Path) -> None:
    get()
    (tmp_path / "bcc.py").write_text("# newer")
    get()
    assert len(compiler.asked) == 2


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_what_others_may_write_is_not_believed(compiler: Compiler, mode: int) -> None:
    get()
    compiled.FOLDER.chmod(mode)
    get()
    compiled.FOLDER.chmod(0o700)
    [kept] = compiled.FOLDER.iterdir()
    kept.chmod(mode)
    get()
    assert len(compiler.asked) == 3


def test_what_is_broken_is_compiled_anew(compiler: Compiler) -> None:
    get()
    [kept] = compiled.FOLDER.iterdir()
    kept.write_text(KEPT.to_json()[:50])
    assert get() == KEPT
    get()
    assert len(compiler.asked) == 2


def test_only_some_are_kept(compiler: Compiler) -> None:
    for number in range(12):
        get(f"int a{number};")
    assert len(list(compiled.FOLDER.iterdir())) == 8
    get("int a11;")
    assert len(compiler.asked) == 12


def test_nowhere_to_keep_it(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "FOLDER", Path("/proc/nowhere"))
    assert get() == KEPT


def test_without_bcc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NothingAttachedError, match="has no bcc"):
        get()
