"""Parameters in storage survive a power cut wherever it comes: the old ones or the new ones."""

import ctypes
import random
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.kernel_build import SANITIZE, STRICT, gcc
from tinyml.resources import runtime_dir

OK, EMPTY, NO_ROOM, DEVICE = 0, 1, -2, -3
SLOT, SIZE, TAG = 256, 88, 0x1234ABCD
WORD = 4

Erase = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
Access = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32
)


class Storage(ctypes.Structure):
    _fields_ = [
        ("slot_bytes", ctypes.c_uint32),
        ("erase", Erase),
        ("write", Access),
        ("read", Access),
    ]


class RamStorage(ctypes.Structure):
    _fields_ = [("storage", Storage), ("memory", ctypes.c_void_p)]


class FileStorage(ctypes.Structure):
    _fields_ = [("storage", Storage), ("paths", ctypes.c_char_p * 2)]


class PowerCutError(Exception):
    """The power is gone: nothing runs any more."""


class Flash:
    """Two slots of flash memory: an erase sets bits, a write clears them, word by word.

    With `left` units of work to go the power is cut in the middle of the next one: what a word
    or an erased stretch is then like, chance says.
    """

    def __init__(self, seed: int) -> None:
        self.slots = [bytearray(b"\xff" * SLOT) for _ in range(2)]
        self.left: int | None = None
        self.random = random.Random(seed)
        self.dead = False
        self.struct = Storage(SLOT, Erase(self.erase), Access(self.write), Access(self.read))

    def works(self) -> bool:
        if self.left is None:
            return True
        self.left -= 1
        self.dead = self.left < 0
        return not self.dead

    def erase(self, _: int, slot: int) -> int:
        if self.dead:
            return 1
        memory = self.slots[slot]
        for at in range(0, SLOT, 64):
            if not self.works():
                for i in range(at, at + 64):
                    memory[i] |= self.random.choice((0, 0xFF, self.random.randrange(256)))
                return 1
            memory[at : at + 64] = b"\xff" * 64
        return 0

    def write(self, _: int, slot: int, offset: int, data: int, size: int) -> int:
        assert offset % 8 == size % 8 == 0
        if self.dead:
            return 1
        memory, new = self.slots[slot], ctypes.string_at(data, size)
        for at in range(0, size, WORD):
            there = memory[offset + at : offset + at + WORD]
            assert there == b"\xff" * WORD, "written twice without an erase"
            torn = not self.works()
            for i in range(WORD):
                cleared = ~new[at + i] & 0xFF
                memory[offset + at + i] &= ~(cleared & self.random.randrange(256) if torn
                                             else cleared) & 0xFF  # fmt: skip
            if torn:
                return 1
        return 0

    def read(self, _: int, slot: int, offset: int, data: int, size: int) -> int:
        if self.dead:
            return 1
        ctypes.memmove(data, bytes(self.slots[slot][offset : offset + size]), size)
        return 0

    def power_on(self) -> None:
        self.left, self.dead = None, False


def build(folder: Path, *flags: str) -> Any:
    root = runtime_dir()
    sources = [*(root / "storage").glob("*.c"), root / "link" / "crc32.c"]
    library = folder / "storage.so"
    command = [gcc(), *STRICT, *flags, "-g", "-fPIC", "-shared"]
    command += [f"-I{root / 'include'}", f"-I{root / 'link'}", *map(str, sources)]
    subprocess.run([*command, "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    for function in (loaded.tinyml_storage_save, loaded.tinyml_storage_load):
        function.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32]
    loaded.tinyml_storage_in_ram.restype = RamStorage
    loaded.tinyml_storage_in_ram.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    loaded.tinyml_storage_in_files.restype = FileStorage
    loaded.tinyml_storage_in_files.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32]
    return loaded


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    undefined = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
    return build(tmp_path_factory.mktemp("storage"), "-O1", *undefined)


def parameters(seed: int) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def save(library: Any, storage: Any, data: bytes, tag: int = TAG) -> int:
    status: int = library.tinyml_storage_save(ctypes.byref(storage), tag, data, len(data))
    return status


def load(library: Any, storage: Any, tag: int = TAG, size: int = SIZE) -> tuple[int, bytes]:
    into = ctypes.create_string_buffer(b"\x55" * size, size)
    status = library.tinyml_storage_load(ctypes.byref(storage), tag, into, size)
    return status, into.raw


Make = Callable[[], Any]


@pytest.mark.parametrize("where", ["ram", "files"])
def test_what_was_saved_last_is_loaded(library: Any, tmp_path: Path, where: str) -> None:
    memory = ctypes.create_string_buffer(b"\xff" * (2 * SLOT), 2 * SLOT)
    paths = [str(tmp_path / name).encode() for name in ("first", "second")]
    made = (
        library.tinyml_storage_in_ram(memory, SLOT)
        if where == "ram"
        else library.tinyml_storage_in_files(*paths, SLOT)
    )
    assert load(library, made) == (EMPTY, b"\x55" * SIZE)
    for seed in range(5):
        assert save(library, made, parameters(seed)) == OK
        assert load(library, made) == (OK, parameters(seed))
    assert load(library, made, tag=TAG + 1) == (EMPTY, b"\x55" * SIZE)
    assert load(library, made, size=SIZE - 8)[0] == EMPTY


def test_no_room(library: Any) -> None:
    flash = Flash(0)
    assert save(library, flash.struct, bytes(SLOT - 32)) == OK
    assert save(library, flash.struct, bytes(SLOT - 24)) == NO_ROOM
    assert save(library, flash.struct, bytes(7)) == NO_ROOM
    assert load(library, flash.struct, size=SLOT - 32) == (OK, bytes(SLOT - 32))


@pytest.mark.parametrize("saved_before", [0, 1, 2, 3])
def test_a_cut_anywhere_leaves_old_or_new(library: Any, saved_before: int) -> None:
    """At every unit of work of an erase or a write, with several ways to be torn."""
    outcomes = set()
    for seed in range(3):
        cut = 0
        while True:
            flash = Flash(1000 * seed + cut)
            for i in range(saved_before):
                assert save(library, flash.struct, parameters(i)) == OK
            flash.left = cut
            status = save(library, flash.struct, parameters(99))
            if status == OK:
                assert not flash.dead
                break
            assert status == DEVICE
            flash.power_on()
            after, data = load(library, flash.struct)
            old = parameters(saved_before - 1) if saved_before else b"\x55" * SIZE
            assert data in (old, parameters(99)), cut
            assert after == (EMPTY if data == b"\x55" * SIZE else OK)
            outcomes.add(data == parameters(99))
            assert save(library, flash.struct, parameters(7)) == OK  # and life goes on
            assert load(library, flash.struct) == (OK, parameters(7))
            cut += 1
        assert cut == SLOT // 64 + (SIZE + 32) // WORD  # no unit was left out
    assert False in outcomes


def test_the_counter_may_wrap(library: Any) -> None:
    flash = Flash(0)
    assert save(library, flash.struct, parameters(0)) == OK
    slot = flash.slots[0]
    slot[12:16] = b"\xff" * 4  # the counter, as after 2^32 - 1 saves
    slot[28:32] = zlib.crc32(slot[:28]).to_bytes(4, "little")
    assert load(library, flash.struct) == (OK, parameters(0))
    for seed in (1, 2, 3):
        assert save(library, flash.struct, parameters(seed)) == OK
        assert load(library, flash.struct) == (OK, parameters(seed))


def test_any_damage_is_noticed(library: Any) -> None:
    """A bit that flips in the newer slot brings back the older parameters."""
    flash = Flash(0)
    for seed in (1, 2):
        assert save(library, flash.struct, parameters(seed)) == OK
    for at in range(SIZE + 32):
        flash.slots[1][at] ^= 1 << at % 8
        assert load(library, flash.struct) == (OK, parameters(1)), at
        flash.slots[1][at] ^= 1 << at % 8


def test_the_flash_driver_drives_the_registers(tmp_path: Path) -> None:
    """On a host whose memory stands in for registers and flash: sectors, keys, and the lock."""
    source = Path(__file__).with_name("stm32f4_flash.c")
    root = runtime_dir()
    program = tmp_path / "driver"
    command = [gcc(), *STRICT, *SANITIZE, "-O1", f"-I{root / 'include'}", f"-I{root / 'link'}"]
    command += [str(source), str(root / "storage" / "storage.c"), str(root / "link" / "crc32.c")]
    subprocess.run([*command, "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
