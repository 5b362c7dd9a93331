"""The file system of an image made from this machine's own Python: no registry, no base image.

It holds the interpreter, its standard library, the distributions and the system packages asked
for, the shared libraries those load, and nothing else: no shell, no tools. The archive is
reproducible: sorted, dated 0, owned by root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath

_PYTHON = PurePosixPath("/opt/python")
_PACKAGES = _PYTHON / "packages"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_STDLIB = _PYTHON / "lib" / f"python{_VERSION}"
_UNWANTED = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "pydoc_data"}
    | {"site-packages", "dist-packages", "__pycache__"}
)
_UNWANTED_SUFFIXES = (".pyc", ".a", ".pyi", ".h", ".c", ".pxd", ".f90", ".exe")
_TEXTS = {
    "/etc/passwd": "root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_FOLDERS = ("/proc", "/sys", "/dev", "/run", "/tmp", "/opt/evolve")  # noqa: S108 - in there
#: What containers of the image start with.
ENVIRONMENT = (
    f"PATH={_PYTHON}/bin:/usr/bin:/bin",
    f"LD_LIBRARY_PATH={_PYTHON}/lib",
    f"PYTHONHOME={_PYTHON}",
    f"PYTHONPATH={_PACKAGES}",
)
_MERGED = ("/bin", "/sbin", "/lib", "/lib64")  #: links into /usr on most systems of today


def write_archive(
    path: Path,
    distributions: Iterable[metadata.Distribution],
    system_files: Mapping[str, Path] | None = None,
) -> None:
    """Write the image's file system as a tar archive; the same bytes for the same input.

    Args:
        path: Where to.
        distributions: Python packages.
        system_files: Further files by their place; links stay links.
    """
    with tempfile.TemporaryDirectory(prefix="evolve-image-") as folder:
        root = Path(folder)
        _merge(root)
        _copy(_interpreter() | _packages(distributions), root)
        _copy(_shared_libraries(root), root)
        _copy(system_files or {}, root, keep_links=True)
        _compile(root)
        for name, text in _TEXTS.items():
            _place(root, name).write_text(text)
        for name in _FOLDERS:
            _place(root, name).mkdir(parents=True, exist_ok=True)
        for link in ("python3", "python"):
            _place(root, f"{_PYTHON}/bin/{link}").symlink_to(f"python{_VERSION}")
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
            for item in sorted(root.rglob("*")):
                archive.add(item, str(item.relative_to(root)), recursive=False, filter=_normalise)


def _interpreter() -> dict[str, Path]:
    """Map places in the image to the files of this Python, packages left out."""
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    files = {f"{_PYTHON}/bin/python{_VERSION}": executable}
    stdlib = Path(sysconfig.get_path("stdlib"))
    files |= {str(_STDLIB / path): stdlib / path for path in _walk(stdlib)}
    platform_stdlib = Path(sysconfig.get_path("platstdlib"))
    return {str(_STDLIB / path): platform_stdlib / path for path in _walk(platform_stdlib)} | files


def _walk(top: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(top):
        names[:] = [
            name for name in names if _wanted(Path(name)) and not name.startswith("config-")
        ]
        for name in files:
            path = Path(folder, name).relative_to(top)
            if _wanted(path):
                yield path


def _wanted(path: Path) -> bool:
    return not _UNWANTED.intersection(path.parts) and not path.name.endswith(_UNWANTED_SUFFIXES)


def _packages(distributions: Iterable[metadata.Distribution]) -> dict[str, Path]:
    """Map places in the image to the files of distributions; scripts are left out."""
    files = {}
    for distribution in distributions:
        for item in distribution.files or ():
            if item.parts[0] != ".." and _wanted(Path(item)):
                files[str(_PACKAGES / item)] = Path(str(distribution.locate_file(item)))
    return files


def _place(root: Path, name: str) -> Path:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _merge(root: Path) -> None:
    """Link top folders into /usr where this machine does, so that one file has one place."""
    for top in map(Path, _MERGED):
        if top.is_symlink():
            (root / "usr" / top.name).mkdir(parents=True, exist_ok=True)
            (root / top.name).symlink_to(top.readlink())


def _copy(files: Mapping[str, Path], root: Path, *, keep_links: bool = False) -> None:
    for name, source in files.items():
        place = _place(root, name)
        if place.is_symlink():
            continue  # it came with its package already
        if keep_links and source.is_symlink():
            place.unlink(missing_ok=True)
            place.symlink_to(source.readlink())
        elif source.is_file():
            shutil.copy(source, place)


def _shared_libraries(root: Path) -> dict[str, Path]:
    """Map places in the image to the libraries outside it that its files load."""
    python = root / "opt/python"
    loading = [str(path) for path in python.rglob("*") if re.search(r"\.so(\.|$)", path.name)]
    loading += [str(path) for path in (python / "bin").iterdir()]
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    listing = subprocess.run(  # noqa: S603 - our own files
        [shutil.which("ldd") or "ldd", *loading],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = {}
    for name in re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", listing, re.MULTILINE):
        path = Path(name)
        if not path.is_relative_to(root):
            in_prefix = path.is_relative_to(sys.base_prefix) and sys.base_prefix != "/usr"
            found[f"{_PYTHON}/lib/{path.name}" if in_prefix else name] = path
    return found


def _compile(root: Path) -> None:
    """Compile all modules so that no date makes a read-only file system's bytecode stale."""
    subprocess.run(  # noqa: S603 - our own interpreter and files
        [
            *(sys.executable, "-m", "compileall", "-q", "-j", "0"),
            *("--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/", str(root)),
        ],
        env={"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"},
        stdout=subprocess.DEVNULL,
        check=False,  # some packages ship templates and files for other versions of Python
    )


def _normalise(item: tarfile.TarInfo) -> tarfile.TarInfo:
    item.uid = item.gid = item.mtime = 0
    item.uname = item.gname = ""
    executable = item.isdir() or item.issym() or item.mode & 0o111 or ".so" in item.name
    item.mode = 0o755 if executable else 0o644
    return item
