"""Make the sandbox image from this machine's own Python: no registry, no base image, no network.

The image holds the interpreter, its standard library, the distributions asked for with what they
require, the shared libraries those load, and nothing else: no shell, no tools. It is imported
through the engine from a reproducible archive (sorted, dated 0, owned by root) and tagged by what
goes into it, so that it is made once and found again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from evolve.core.errors import SandboxUnavailable

if TYPE_CHECKING:
    import docker

REPOSITORY = "evolve-sandbox"
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
_SETTINGS = (
    f"ENV PATH={_PYTHON}/bin",
    f"ENV LD_LIBRARY_PATH={_PYTHON}/lib",
    f"ENV PYTHONHOME={_PYTHON} PYTHONPATH={_PACKAGES}",
    'CMD ["python3", "--version"]',
)


@dataclass(frozen=True, slots=True)
class Image:
    """A sandbox image in the engine's store.

    Attributes:
        tag: Name to start containers from.
        digest: Content digest of its configuration, ``sha256:...``.
    """

    tag: str
    digest: str


def default_distributions() -> tuple[str, ...]:
    """Return what programs may import besides the standard library: numpy and scipy if here."""
    return tuple(name for name in ("numpy", "scipy") if _distribution(name) is not None)


def ensure_image(client: docker.DockerClient, distributions: Sequence[str] | None = None) -> Image:
    """Return the image for this Python with ``distributions``, making it when it is not there.

    Args:
        client: Connection to the engine.
        distributions: Names as on a package index, installed in the running environment; None
            for `default_distributions`.

    Raises:
        SandboxUnavailable: a distribution is not installed here, or the engine refuses the image.
    """
    from docker.errors import APIError, ImageNotFound

    wanted = _closure(default_distributions() if distributions is None else distributions)
    tag = f"{REPOSITORY}:py{platform.python_version()}-{_key(wanted)[:16]}"
    try:
        return find_image(client, tag)
    except ImageNotFound:
        pass
    with tempfile.TemporaryDirectory(prefix="evolve-image-") as folder:
        archive = Path(folder, "image.tar")
        write_archive(archive, wanted)
        try:
            with archive.open("rb") as stream:
                client.api.import_image(
                    stream, REPOSITORY, tag.rpartition(":")[2], changes=list(_SETTINGS)
                )
            return find_image(client, tag)
        except APIError as error:
            raise SandboxUnavailable(f"the engine refused the sandbox image: {error}") from error


def find_image(client: docker.DockerClient, name: str) -> Image:
    """Return an image the engine has; raises docker's ``ImageNotFound`` when it has none."""
    return Image(name, str(client.images.get(name).id))


def write_archive(path: Path, distributions: Iterable[metadata.Distribution]) -> None:
    """Write the image's file system as a tar archive; the same bytes for the same input."""
    with tempfile.TemporaryDirectory(prefix="evolve-image-") as folder:
        root = Path(folder)
        _copy(_interpreter() | _packages(distributions), root)
        _copy(_shared_libraries(root), root)
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


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _closure(names: Iterable[str]) -> list[metadata.Distribution]:
    """Return the distributions and all they require, in order of name."""
    found: dict[str, metadata.Distribution] = {}
    todo = list(names)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        distribution = _distribution(name)
        if distribution is None:
            raise SandboxUnavailable(
                f"{name} is not installed in this environment, so no image can be made with it; "
                "install it here, or name an image of your own: `sandbox: {image: NAME}`"
            )
        found[name] = distribution
        todo += [
            re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
            for requirement in distribution.requires or ()
            if ";" not in requirement  # a condition: an extra, or another system
        ]
    return [found[name] for name in sorted(found)]


def _key(distributions: Iterable[metadata.Distribution]) -> str:
    """Return a hash of all that decides what the image holds."""
    parts = [sys.version, platform.machine(), *platform.libc_ver(), Path(__file__).read_text()]
    parts += [distribution.read_text("RECORD") or "" for distribution in distributions]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


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


def _copy(files: Mapping[str, Path], root: Path) -> None:
    for name, source in files.items():
        if source.is_file():
            shutil.copy(source, _place(root, name))


def _shared_libraries(root: Path) -> dict[str, Path]:
    """Map places in the image to the libraries outside it that its files load."""
    loading = [str(path) for path in root.rglob("*") if re.search(r"\.so(\.|$)", path.name)]
    loading += [str(path) for path in (root / "opt/python/bin").iterdir()]
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
