from __future__ import annotations

import platform
import sys

import pytest

from unified_llm._backends import mlx


@pytest.mark.parametrize(
    ("system", "machine", "outcome"),
    [
        ("darwin", "arm64", "runs"),
        ("darwin", "x86_64", "cannot run"),
        ("linux", "x86_64", "runs"),
        ("linux", "aarch64", "runs"),
        ("linux", "riscv64", "cannot run"),
        ("win32", "AMD64", "cannot run"),
    ],
)
def test_mlx_runs_on_apple_silicon_and_on_linux(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, outcome: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert mlx.is_supported_platform() is (outcome == "runs")


@pytest.mark.case(70)
def test_on_a_platform_without_mlx_the_message_does_not_say_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    reason = mlx.unavailable_reason()
    assert reason == (
        "MLX needs macOS on Apple silicon or Linux, and this is Windows on AMD64: use another provider here."
    )


@pytest.mark.parametrize("missing", ["mlx", "mlx_lm"])
def test_a_missing_package_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(mlx, "is_supported_platform", lambda: True)
    monkeypatch.setattr(mlx, "find_spec", lambda name: None if name == missing else object())
    assert mlx.unavailable_reason() == "MLX is not installed: run pip install 'unified-llm[mlx]'."


def test_nothing_is_missing_where_both_packages_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlx, "is_supported_platform", lambda: True)
    monkeypatch.setattr(mlx, "find_spec", lambda _: object())
    assert mlx.unavailable_reason() is None


def test_the_demo_model_is_part_of_the_package() -> None:
    assert (mlx.demo_folder() / "config.json").is_file()
