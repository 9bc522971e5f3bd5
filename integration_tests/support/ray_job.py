"""A program that runs a job of Ray Data, and prints the rows of the result as lines of JSON.

    python -m integration_tests.support.ray_job '{"settings": {"model": ...}, "rows": [{"prompt": ...}, ...]}'

The argument has, as JSON: ``settings`` and ``options`` of ``Generate``, or of ``Embed`` with ``"embed": true``;
``rows``, or ``count`` for so many prompts; ``blocks``, ``actors``, ``batch_size``, ``batch_format``; ``instance`` to
pass an instance in place of the class; ``folder`` to write the rows there as Parquet.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


def main(job: dict[str, Any]) -> None:
    """Run the job."""
    import ray
    import ray.data

    from unified_llm.batch.ray import Embed, Generate

    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    kind, settings, options = Embed if job.get("embed") else Generate, job["settings"], job.get("options", {})
    rows = job.get("rows") or [{"id": number, "prompt": f"row {number}"} for number in range(job["count"])]
    how = {"batch_size": job.get("batch_size", 50), "batch_format": job.get("batch_format", "numpy"), "num_cpus": 0.25}
    dataset = ray.data.from_items(rows, override_num_blocks=job.get("blocks", 4))
    if job.get("instance"):
        dataset = dataset.map_batches(kind(settings, **options), **how)
    else:
        dataset = dataset.map_batches(
            kind,
            fn_constructor_args=(settings,),
            fn_constructor_kwargs=options,
            compute=ray.data.ActorPoolStrategy(size=job.get("actors", 2)),
            **how,
        )
    if folder := job.get("folder"):
        dataset.write_parquet(folder)
        return
    for row in dataset.iter_rows():
        sys.stdout.write(json.dumps(row, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    return value.tolist()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
