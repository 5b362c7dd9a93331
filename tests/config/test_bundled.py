"""Bundled content is found from a checkout and from an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.config.bundled import Kind, bundled


@pytest.mark.parametrize("kind", ["problems", "evaluators", "configs"])
def test_a_checkout_uses_its_own_folders(kind: Kind) -> None:
    root = Path(__file__).resolve().parents[2]
    assert bundled(kind) == root / kind
    assert bundled(kind).is_dir()


def _package(root: Path) -> Path:
    (root / "evolve" / "_bundled" / "problems").mkdir(parents=True)
    return root / "evolve"


def test_a_wheel_uses_the_folders_inside_the_package(tmp_path: Path) -> None:
    package = _package(tmp_path)
    assert bundled("problems", package=package) == package / "_bundled" / "problems"


def test_another_projects_files_beside_the_package_do_not_count(tmp_path: Path) -> None:
    package = _package(tmp_path)
    (tmp_path / "problems").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert bundled("problems", package=package) == package / "_bundled" / "problems"


def test_a_stale_copy_in_the_package_does_not_shadow_a_checkout(tmp_path: Path) -> None:
    package = _package(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "evolve-engine"\n')
    assert bundled("problems", package=package) == tmp_path / "problems"
