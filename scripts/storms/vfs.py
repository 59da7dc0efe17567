"""A layer under SQLite that fails, or loses power, at a chosen operation.

SQLite reaches its files through a table of functions, a VFS. This one is a copy of the default one in the very
library that Python's `sqlite3` has loaded, found through ctypes, with some functions wrapped, and made the default
before hpo connects. So what runs is hpo's own code on its own SQLite, file locks included; an SQLite of its own, as
the package `apsw` brings along, would test another library through other calls. It works where `_sqlite3` is a
module that links to SQLite dynamically or shows its symbols; where the library is hidden inside the interpreter,
`reason_against` says so.
"""

import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

OK = 0
CREATE, MAIN_JOURNAL = 0x4, 0x800  # flags of xOpen

Pointer, Int, Int64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
METHODS = {  # of an open file, in the order of sqlite3_io_methods; None: passed through as they are
    "xClose": (Pointer,),
    "xRead": (Pointer, Pointer, Int, Int64),
    "xWrite": (Pointer, Pointer, Int, Int64),
    "xTruncate": (Pointer, Int64),
    "xSync": (Pointer, Int),
    "xFileSize": (Pointer, Pointer),
    "xLock": (Pointer, Int),
} | dict.fromkeys(
    [
        "xUnlock",
        "xCheckReservedLock",
        "xFileControl",
        "xSectorSize",
        "xDeviceCharacteristics",
        "xShmMap",
        "xShmLock",
        "xShmBarrier",
        "xShmUnmap",
        "xFetch",
        "xUnfetch",
    ]
)
FUNCTIONS = {  # of the VFS, in the order of sqlite3_vfs
    "xOpen": (Pointer, Pointer, Pointer, Int, Pointer),
    "xDelete": (Pointer, Pointer, Int),
} | dict.fromkeys(
    [
        "xAccess",
        "xFullPathname",
        "xDlOpen",
        "xDlError",
        "xDlSym",
        "xDlClose",
        "xRandomness",
        "xSleep",
        "xCurrentTime",
        "xGetLastError",
        "xCurrentTimeInt64",
        "xSetSystemCall",
        "xGetSystemCall",
        "xNextSystemCall",
    ]
)
KINDS = {"xRead": "read", "xWrite": "write", "xTruncate": "truncate", "xSync": "sync", "xFileSize": "size"}
KINDS |= {"xLock": "lock", "xOpen": "open", "xDelete": "delete"}


class _Methods(ctypes.Structure):
    _fields_ = (("iVersion", Int), *((name, Pointer) for name in METHODS))


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("iVersion", Int),
        ("szOsFile", Int),
        ("mxPathname", Int),
        ("pNext", Pointer),
        ("zName", ctypes.c_char_p),
        ("pAppData", Pointer),
        *((name, Pointer) for name in FUNCTIONS),
    )


class Layer:
    """What a layer does; this one lets everything through.

    Every method gets the file's path, and `act`, which does what SQLite wants and returns SQLite's code.
    """

    def open(self, path: Path, act: Callable[[], int], flags: int) -> int:
        """A file is opened, or made."""
        return act()

    def delete(self, path: Path, act: Callable[[], int], syncs_folder: int) -> int:
        """A file is deleted."""
        return act()

    def write(self, path: Path, act: Callable[[], int], data: bytes, offset: int) -> int:
        """Bytes are written."""
        return act()

    def truncate(self, path: Path, act: Callable[[], int], size: int) -> int:
        """A file is cut to `size` bytes."""
        return act()

    def sync(self, path: Path, act: Callable[[], int]) -> int:
        """All that was written is to be on the disk when this returns."""
        return act()

    def read(self, path: Path, act: Callable[[], int]) -> int:
        """Bytes are read."""
        return act()

    def size(self, path: Path, act: Callable[[], int]) -> int:
        """The size of a file is asked for."""
        return act()

    def lock(self, path: Path, act: Callable[[], int]) -> int:
        """A file is locked."""
        return act()


def library() -> Any:
    """The SQLite that Python's `sqlite3` uses; AttributeError or OSError where it cannot be reached."""
    import _sqlite3

    found = ctypes.CDLL(_sqlite3.__file__)  # symbols are looked up in what it links to as well
    found.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    found.sqlite3_libversion.restype = ctypes.c_char_p
    found.sqlite3_memory_used.restype = Int64
    return found


def reason_against() -> str | None:
    """Why there can be no layer in this interpreter; None if there can."""
    import sqlite3

    if os.name != "posix":
        return "what is modelled is the VFS of SQLite on POSIX systems"
    try:
        version = library().sqlite3_libversion().decode()
    except (AttributeError, OSError) as error:
        return f"the SQLite inside this Python cannot be reached through ctypes: {error}"
    if version != sqlite3.sqlite_version:
        return f"ctypes reaches SQLite {version}, Python's sqlite3 is {sqlite3.sqlite_version}"
    return None


_kept: list[Any] = []  # what SQLite points to must not be collected


def register(layer: Layer) -> None:
    """Put `layer` under every connection that this process opens from now on."""
    sqlite = library()
    vfs = _Vfs()
    default = sqlite.sqlite3_vfs_find(None)
    ctypes.memmove(ctypes.byref(vfs), default, ctypes.sizeof(vfs) if default.contents.iVersion >= 3 else _size(default))
    vfs.zName = b"storm"
    originals = {name: _function(getattr(vfs, name), FUNCTIONS[name]) for name in ("xOpen", "xDelete")}
    files: dict[int, tuple[Path, dict[str, Any], Any]] = {}  # address of an open file to its path, functions, old table

    def open_(this: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        def act() -> int:
            code = originals["xOpen"](this, name, file, flags, out)
            if code == OK and path is not None:
                _wrap(file, path)
            return code

        Pointer.from_address(file).value = None  # no methods: not open
        path = None if name is None else Path(os.fsdecode(ctypes.string_at(name)))
        return act() if path is None else layer.open(path, act, flags)

    def delete(this: int, name: int, syncs_folder: int) -> int:
        path = Path(os.fsdecode(ctypes.string_at(name)))
        return layer.delete(path, lambda: originals["xDelete"](this, name, syncs_folder), syncs_folder)

    def _wrap(file: int, path: Path) -> None:
        old = ctypes.POINTER(_Methods).from_address(file).contents
        functions = {n: _function(getattr(old, n), types) for n, types in METHODS.items() if types}
        files[file] = (path, functions, Pointer.from_address(file).value)
        key = ctypes.addressof(old)
        if key not in tables:
            ctypes.memmove(ctypes.byref(new := _Methods()), ctypes.byref(old), ctypes.sizeof(new))
            for method in functions:
                setattr(new, method, ctypes.cast(wrappers[method], Pointer).value)
            tables[key] = new
        Pointer.from_address(file).value = ctypes.addressof(tables[key])

    def close(file: int) -> int:
        _, functions, old = files.pop(file)
        Pointer.from_address(file).value = old
        return int(functions["xClose"](file))

    def method(name: str) -> Callable[..., int]:
        def call(file: int, *arguments: int) -> int:
            path, functions, _ = files[file]

            def act() -> int:
                return int(functions[name](file, *arguments))

            if name == "xWrite":
                data, amount, offset = arguments
                return layer.write(path, act, ctypes.string_at(data, amount), offset)
            if name == "xTruncate":
                return layer.truncate(path, act, arguments[0])
            found: Callable[[Path, Callable[[], int]], int] = getattr(layer, KINDS[name])
            return found(path, act)

        return call

    tables: dict[int, _Methods] = {}
    wrappers = {
        name: _callback(close if name == "xClose" else method(name), types) for name, types in METHODS.items() if types
    }
    opening, deleting = _callback(open_, FUNCTIONS["xOpen"]), _callback(delete, FUNCTIONS["xDelete"])
    vfs.xOpen, vfs.xDelete = (ctypes.cast(callback, Pointer).value for callback in (opening, deleting))
    _kept.extend([vfs, wrappers, tables, files, opening, deleting])
    if sqlite.sqlite3_vfs_register(ctypes.byref(vfs), 1) != OK:
        raise RuntimeError("SQLite does not take another VFS")


def _size(default: Any) -> int:
    """Bytes of an older version's table."""
    return int(getattr(_Vfs, "xSetSystemCall" if default.contents.iVersion == 2 else "xCurrentTimeInt64").offset)


def _function(address: int, types: tuple[Any, ...]) -> Any:
    return ctypes.CFUNCTYPE(Int, *types)(address)


def _callback(function: Callable[..., int], types: tuple[Any, ...]) -> Any:
    def safe(*arguments: Any) -> int:
        try:
            return function(*arguments)
        except BaseException:  # nothing may pass through SQLite; a defect of a layer must show
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)

    return ctypes.CFUNCTYPE(Int, *types)(safe)
