"""A program that runs jobs of Ray Data one after another, and prints the rows of the results as lines of JSON.

    python -m integration_tests.support.ray_job '{"settings": {"model": ...}, "rows": [{"prompt": ...}, ...]}'

Each argument has, as JSON: ``settings`` and ``options`` of ``Generate``, or of ``Embed`` with ``"embed": true``;
``rows``, or ``count`` for so many prompts; ``blocks``, ``actors``, ``batch_size``, ``batch_format``; ``instance`` to
pass an instance in place of the class; ``folder`` to write the rows there as Parquet.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


def main(*jobs: dict[str, Any]) -> None:
    """Run the jobs."""
    import ray
    import ray.data

    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    for job in jobs:
        dataset = _rows_of(job)
        if folder := job.get("folder"):
            dataset.write_parquet(folder)
            continue
        for row in dataset.iter_rows():
            sys.stdout.write(json.dumps(row, default=_plain) + "\n")


def _rows_of(job: dict[str, Any]) -> Any:
    import ray.data

    from unified_llm.batch.ray import Embed, Generate

    kind, settings, options = Embed if job.get("embed") else Generate, job["settings"], job.get("options", {})
    rows = job.get("rows") or [{"id": number, "prompt": f"row {number}"} for number in range(job["count"])]
    how = {"batch_size": job.get("batch_size", 50), "batch_format": job.get("batch_format", "numpy"), "num_cpus": 0.25}
    dataset = ray.data.from_items(rows, override_num_blocks=job.get("blocks", 4))
    if job.get("instance"):
        return dataset.map_batches(kind(settings, **options), **how)
    return dataset.map_batches(
        kind,
        fn_constructor_args=(settings,),
        fn_constructor_kwargs=options,
        compute=ray.data.ActorPoolStrategy(size=job.get("actors", 2)),
        **how,
    )


def _plain(value: Any) -> Any:
    return value.tolist()


if __name__ == "__main__":
    main(*(json.loads(argument) for argument in sys.argv[1:]))
