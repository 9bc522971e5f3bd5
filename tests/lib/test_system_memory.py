"""What the system says of memory, as files in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.each import each
from unified_llm._lib.system_memory import available_memory

MACHINE = {"proc/meminfo": "MemTotal:  32000000 kB\nMemFree:    1000 kB\nMemAvailable:   16000000 kB\nBuffers: 1 kB\n"}
VERSION_2 = "sys/fs/cgroup"
VERSION_1 = "sys/fs/cgroup/memory"
FREE = 16_000_000 * 1024


def group_2(folder: str, limit: str, usage: int, cache: int = 0) -> dict[str, str]:
    place = f"{VERSION_2}/{folder}".rstrip("/")
    stat = f"anon 5\ninactive_file {cache}\nactive_file 7\n"
    return {f"{place}/memory.max": limit, f"{place}/memory.current": f"{usage}\n", f"{place}/memory.stat": stat}


def group_1(folder: str, limit: int, usage: int, cache: int = 0) -> dict[str, str]:
    place = f"{VERSION_1}/{folder}".rstrip("/")
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    contents = (f"{limit}\n", f"{usage}\n", f"inactive_file 1\ntotal_inactive_file {cache}\n")
    return {f"{place}/{name}": content for name, content in zip(names, contents, strict=True)}


IN_2 = {"proc/self/cgroup": "0::/user.slice/app\n"}
IN_1 = {"proc/self/cgroup": "3:cpu,cpuacct:/x\n7:memory:/docker/1\n0::/\n"}


@each(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 1 kB\n"}, None),
        (MACHINE, FREE),
        (MACHINE | {"proc/self/cgroup": "0::/\n"} | group_2("", "1000000\n", 400_000, 100_000), 700_000),
        (MACHINE | IN_2 | group_2("user.slice/app", "max\n", 5), FREE),
        (MACHINE | IN_2 | group_2("user.slice/app", "max\n", 5) | group_2("user.slice", "900\n", 300), 600),
        (MACHINE | IN_2 | group_2("user.slice/app", "100\n", 500), 0),
        (MACHINE | IN_2 | group_2("user.slice/app", "damaged", 5), FREE),
        (MACHINE | {"proc/self/cgroup": "0::/../../elsewhere\n"} | group_2("", "1000\n", 400), 600),
        (MACHINE | IN_1 | group_1("docker/1", 2_000_000, 500_000, 100), 1_500_100),
        (MACHINE | IN_1 | group_1("", 3_000_000, 1_000_000), 2_000_000),  # a container that sees its own group alone
        (MACHINE | IN_1 | group_1("docker/1", 9_223_372_036_854_771_712, 5), FREE),
    ],
)
def test_it_is_the_least_of_the_machine_and_the_groups(
    files: Mapping[str, str], expected: int | None, tmp_path: Path
) -> None:
    root = tmp_path / f"case {len(list(tmp_path.iterdir()))}"
    root.mkdir()
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    assert available_memory(root) == expected
