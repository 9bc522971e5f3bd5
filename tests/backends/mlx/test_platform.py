"""Machines without MLX: which ones they are, and what is said there."""

from __future__ import annotations

import platform
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._backends import mlx
from unified_llm.cli import main
from unified_llm.exceptions import UnconfiguredError

NEEDS = (
    "MLX needs macOS 14 or newer on Apple silicon, or Linux on x86_64 or aarch64 with glibc 2.35 or newer, and this is "
)


PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


class Machine(NamedTuple):
    system: str
    processor: str
    macos: str = ""
    libc: tuple[str, str] = ("glibc", "2.39")
    bits: int = 64


MACHINES = [
    (Machine("darwin", "arm64", "14.0"), None),
    (Machine("darwin", "arm64", "26.1"), None),
    (Machine("darwin", "arm64", "10.16"), None),
    (Machine("darwin", "arm64"), None),
    (Machine("darwin", "arm64", "13.7.1"), "macOS 13.7.1"),
    (Machine("darwin", "arm64", "11"), "macOS 11"),
    (Machine("darwin", "x86_64", "15.2"), "macOS on x86_64"),
    (Machine("linux", "x86_64", "", ("glibc", "2.35")), None),
    (Machine("linux", "aarch64"), None),
    (Machine("linux", "x86_64", "", ("glibc", "3.0")), None),
    (Machine("linux", "x86_64", "", ("glibc", "2.31")), "Linux with glibc 2.31"),
    (Machine("linux", "aarch64", "", ("glibc", "2.4")), "Linux with glibc 2.4"),
    (Machine("linux", "x86_64", "", ("", "")), "Linux with another C library than glibc"),
    (Machine("linux", "x86_64", "", ("musl", "1.2.5")), "Linux with musl"),
    (Machine("linux", "riscv64"), "Linux on riscv64"),
    (Machine("linux", "armv7l"), "Linux on armv7l"),
    (Machine("linux", "armv8l"), "Linux on armv8l"),
    (Machine("linux", "ppc64le"), "Linux on ppc64le"),
    (Machine("linux", "s390x"), "Linux on s390x"),
    (Machine("linux", "i686"), "Linux on i686"),
    (Machine("linux", "loongarch64"), "Linux on loongarch64"),
    (Machine("linux", "aarch64", "", ("musl", "1.2.5")), "Linux with musl"),
    (Machine("linux", "riscv64", "", ("musl", "1.2.5")), "Linux on riscv64"),
    (Machine("darwin", "i386", "10.15"), "macOS on i386"),
    (Machine("linux", "aarch64", bits=32), "a Python of 32 bits for Linux on aarch64"),
    (Machine("linux", "x86_64", bits=32), "a Python of 32 bits for Linux on x86_64"),
    (Machine("win32", "AMD64", "", ("", "")), "Windows on AMD64"),
    (Machine("win32", "ARM64", "", ("", "")), "Windows on ARM64"),
    (Machine("freebsd14", "amd64", "", ("", "")), "FreeBSD on amd64"),
]
NAMES = {"win32": "Windows", "freebsd14": "FreeBSD", "darwin": "Darwin", "linux": "Linux"}


def pretend(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    monkeypatch.setattr(mlx, "sys", SimpleNamespace(platform=machine.system))
    monkeypatch.setattr(mlx, "calcsize", lambda _: machine.bits // 8)
    monkeypatch.setattr(platform, "system", lambda: NAMES[machine.system])
    monkeypatch.setattr(platform, "machine", lambda: machine.processor)
    monkeypatch.setattr(platform, "libc_ver", lambda: machine.libc)
    monkeypatch.setattr(platform, "mac_ver", lambda: (machine.macos, ("", "", ""), machine.processor))


@each(("machine", "named"), MACHINES)
def test_a_machine_without_a_wheel_is_told_why_and_never_to_install_it(
    machine: Machine, named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, machine)
    monkeypatch.setattr(mlx, "find_spec", lambda _: None)
    assert mlx.is_supported_platform() is (named is None)
    expected = f"{NEEDS}{named}: use another provider here." if named else f"MLX is not installed: run {mlx.INSTALL}."
    assert mlx.unavailable_reason() == expected


@each(
    ("extra", "machine"),
    [(extra, machine) for extra in ("mlx", "vision") for machine, _ in MACHINES if machine.bits == 64],
)
def test_the_extras_install_mlx_where_the_processor_is_no_reason_against_it(
    extra: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, machine)
    pyproject = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    requirements = map(Requirement, pyproject["project"]["optional-dependencies"][extra])
    here = {"sys_platform": machine.system, "platform_machine": machine.processor}
    installed = {each.name for each in requirements if each.marker is not None and each.marker.evaluate(here)}
    named = {"mlx": {"mlx-lm", "huggingface-hub", "jinja2", "llguidance"}, "vision": {"mlx-vlm"}}[extra]
    # pip has no marker for the version of a system or of its C library: it says that it finds no wheel.
    assert installed == (named if mlx._other_machine() is None else set())


@each(
    ("machine", "outcome"),
    [
        (Machine("linux", "x86_64", libc=("glibc", "2.31")), "runs"),
        (Machine("linux", "x86_64", libc=("", "")), "runs"),
        (Machine("darwin", "arm64", "13.5"), "runs"),
        (Machine("win32", "AMD64"), "cannot run"),
        (Machine("darwin", "x86_64", "15.0"), "cannot run"),
        (Machine("linux", "riscv64"), "cannot run"),
    ],
)
def test_an_mlx_that_was_built_on_an_old_system_is_used(
    machine: Machine, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, machine)
    monkeypatch.setattr(mlx, "find_spec", lambda _: object())
    assert (mlx.unavailable_reason() is None) is (outcome == "runs")


def test_a_chain_goes_on_without_it_and_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pretend(monkeypatch, Machine("linux", "x86_64", libc=("glibc", "2.31")))
    monkeypatch.setattr(mlx, "find_spec", lambda _: None)
    for model in ("mlx/demo", "mlx/org/model", {"model": "mlx/org/other", "download": True}):
        caplog.clear()
        for _ in range(2):
            client = LLMClient("ollama/llama3.2", fallbacks=[model])
            assert [target.name for target in client.targets] == ["ollama/llama3.2"]
        assert caplog.text.count("use another provider here") == 1
        assert "glibc 2.31" in caplog.text
    with pytest.raises(UnconfiguredError, match=r"No target is left: mlx/demo: MLX needs .* glibc 2\.31"):
        LLMClient("mlx/demo")


# Old versions of Typer import what newer ones of Click deprecate.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:typer")
@each("arguments", [("pull", "org/model"), ("list",)])
def test_commands_say_why_it_cannot_run_here(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, Machine("linux", "x86_64", libc=("musl", "1.2")))
    monkeypatch.setattr(mlx, "find_spec", lambda _: None)
    assert main(["mlx", *arguments]) == 1
    assert f"{NEEDS}Linux with musl: use another provider here." in capsys.readouterr().err


@each("missing", ["mlx", "mlx_lm"])
def test_a_missing_package_is_reported_with_the_command_that_installs_it(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, Machine("linux", "x86_64"))
    monkeypatch.setattr(mlx, "find_spec", lambda name: None if name == missing else object())
    assert mlx.unavailable_reason() == "MLX is not installed: run pip install 'unified-llm[mlx]'."


def test_nothing_is_missing_where_both_packages_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Machine("linux", "x86_64"))
    monkeypatch.setattr(mlx, "find_spec", lambda _: object())
    assert mlx.unavailable_reason() is None


def test_the_demo_model_is_part_of_the_package() -> None:
    assert (mlx.demo_folder() / "config.json").is_file()
