"""Which sandbox a run uses, and the rule that code from a model needs a strong one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from evolve.config.models import SandboxConfig
from evolve.core.errors import ConfigError, SandboxUnavailable
from evolve.core.recipe import DEFAULT_IMAGE, ImageRecipe
from evolve.sandbox.base import SANDBOXES, Sandbox
from evolve.sandbox.spec import SandboxSpec


def environment_of(sandbox: Sandbox, packages: Mapping[str, str]) -> str:
    """Return a hash of what a score may depend on beside the program and the evaluator's version.

    Args:
        sandbox: Its kind, image, isolation, and all else it says of itself count.
        packages: Versions of installed packages, see `evolve.engine.packages`.
    """
    described = [sandbox.name, sorted(sandbox.provenance().items()), sorted(sandbox.guarantees())]
    described.append(sorted(packages.items()))
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def specify_sandbox(
    config: SandboxConfig,
    *,
    arbitrary_code: bool,
    gpus: bool = False,
    folder: Path | None = None,
    image: ImageRecipe = DEFAULT_IMAGE,
    say: Callable[[str], None] = lambda _: None,
    run: str = "",
) -> SandboxSpec:
    """Return the sandbox a configuration asks for, on whatever machine.

    Args:
        config: The ``sandbox`` section.
        arbitrary_code: Whether programs may contain anything at all, as a model's may.
        gpus: Whether programs have devices, which only a fresh container finds as they were.
        folder: What relative plug-in references are relative to.
        image: What the problem's image is made from; the configuration's own comes first.
        say: Told what deserves a look.
        run: What containers are labelled with, for people who look at them.

    Raises:
        ConfigError: an option belongs to another kind of sandbox.
        SandboxUnavailable: the sandbox is too weak for such programs and nobody insisted.
    """
    docker_only = _docker_only(config)
    elsewhere = bool(image.name) or image.dockerfile is not None
    kind = config.kind
    if kind == "auto":
        kind = "docker" if arbitrary_code or docker_only or elsewhere else "process"
    if docker_only and kind in SANDBOXES and kind != "docker":
        raise ConfigError(
            f"sandbox.{docker_only[0]} is for containers, and sandbox.kind is {kind}: leave it "
            "out, or set `kind: docker`"
        )
    if kind == "process" and elsewhere:
        say(
            f"the process sandbox has no images: programs see this machine's own files, not those "
            f"of {image.contents}"
        )
    wanted = image if config.image is None else config.image
    options = _options(kind, config, wanted, gpus=gpus)
    if kind == "docker":
        options["run_label"] = run
    spec = SandboxSpec(kind, options, folder)
    if arbitrary_code and not spec.make().accepts_untrusted:
        raise SandboxUnavailable(
            f"code from a model may not run in the {kind} sandbox: it could read your files and "
            "reach your network.\nUse `sandbox: {kind: docker}`, or, knowing the risk, "
            "`sandbox: {kind: process, allow_untrusted: true}`."
        )
    return spec


def _docker_only(config: SandboxConfig) -> list[str]:
    """Return the options that are set and mean something to containers only."""
    options = {
        "image": config.image is not None,
        "isolation": config.isolation == "container",
        "runtime": config.runtime is not None,
    }
    return [name for name, is_set in options.items() if is_set]


def _options(
    kind: str,
    config: SandboxConfig,
    image: ImageRecipe | str,
    *,
    gpus: bool,
) -> dict[str, object]:
    """Return the constructor's keyword arguments: what each built-in understands."""
    if kind == "docker":
        return {
            "image": image,
            "isolation": config.isolation or ("container" if gpus else "slot"),
            "runtime": config.runtime,
        }
    if kind == "process":
        return {"allow_untrusted": config.allow_untrusted}
    return {}
