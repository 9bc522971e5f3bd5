"""Serialization: dumps that are stored, hashed and sent to other processes."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from llama_index.core.extractors import TitleExtractor
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import TextNode

from conformance.llama_index.call_modes import ask
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Say
from conformance.llama_index.upstream import KEY

OTHER_KEY = "sk-CONFORMANCE-fedcba9876543210"
NODES = [TextNode(text="Llamas hum.", id_="one")]


def transformation_hash(llm: Any) -> str:
    """Return the key under which a pipeline caches the output of this LLM."""
    return get_transformation_hash(NODES, TitleExtractor(llm=llm))


class TestSerialization:
    """to_dict, to_json, to_payload, pickles and copies."""

    @pytest.mark.parametrize("method", ["to_dict", "to_json", "to_payload", "__repr__", "__str__"])
    def test_no_dump_holds_the_key(self, bench: Bench, method: str) -> None:
        """Dumps are logged, traced and stored. Needed by schema.py and base/llms/base.py."""
        llm, _ = bench.start(Say("Yes."))
        assert KEY not in str(getattr(llm, method)())

    def test_a_payload_is_plain(self, bench: Bench) -> None:
        """JSON, with the names of the class and the model. Needed by base/llms/base.py."""
        llm, _ = bench.start(Say("Yes."))
        payload = json.loads(json.dumps(llm.to_payload()))
        assert payload["class_name"] == type(llm).class_name()
        assert llm.metadata.model_name in payload.values()

    def test_a_dump_names_its_class(self, bench: Bench) -> None:
        """By a name that does not depend on the module of the class. Needed by llms/loading.py."""
        llm, _ = bench.start(Say("Yes."))
        assert llm.to_dict()["class_name"] == type(llm).class_name() != "base_component"

    def test_a_pipeline_recognises_its_own_work(self, bench: Bench) -> None:
        """Equal LLMs have one hash, before and after they are used. Needed by ingestion/pipeline.py."""
        llm, upstream = bench.start(Say("Yes."))
        before = transformation_hash(llm)
        ask(llm, "chat")
        ask(llm, "achat")
        assert transformation_hash(llm) == before == transformation_hash(bench.llm(upstream.url))

    def test_a_new_key_is_no_new_model(self, bench: Bench) -> None:
        """Or a rotated key would invalidate the whole cache. Needed by ingestion/pipeline.py."""
        llm, upstream = bench.start(Say("Yes."))
        rotated = bench.contender.calling_functions(upstream.url, OTHER_KEY, max_retries=0)
        assert transformation_hash(rotated) == transformation_hash(llm)

    def test_another_model_is_another_hash(self, bench: Bench) -> None:
        """The output of one model is not that of another. Needed by ingestion/pipeline.py."""
        upstream = bench.open(Say("Yes."))
        hashes = {
            transformation_hash(bench.contender.of_model(name, upstream.url, KEY, max_retries=0))
            for name in ("one", "two")
        }
        assert len(hashes) == 2

    @pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
    def test_a_pickle_answers(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, *, used: bool) -> None:
        """Pipelines send LLMs to workers with the same environment. Needed by ingestion/pipeline.py."""
        upstream = bench.open(Say("Yes."))
        fields = {"temperature": 0.25, "max_retries": 0}
        llm = bench.contender.for_workers(upstream.url, KEY, monkeypatch.setenv, **fields)
        if used:
            ask(llm, "chat")
            ask(llm, "achat")
        loaded = pickle.loads(pickle.dumps(llm))  # noqa: S301 - pickled above
        assert ask(loaded, "complete")[0].text == "Yes."
        assert loaded.temperature == 0.25

    def test_what_is_pickled_still_answers(self, bench: Bench) -> None:
        """Pickling must not change the original. Needed by schema.py."""
        llm, _ = bench.start(Say("Yes."))
        ask(llm, "chat")
        pickle.dumps(llm)
        assert ask(llm, "complete")[0].text == "Yes."

    @pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
    def test_a_deep_copy_answers(self, bench: Bench, *, used: bool) -> None:
        """Prompts are deep-copied together with their output parsers. Needed by prompts/base.py."""
        llm, _ = bench.start(Say("Yes."), temperature=0.25)
        if used:
            ask(llm, "chat")
        copied: Any = copy.deepcopy(llm)
        assert ask(copied, "complete")[0].text == "Yes."
        assert copied.temperature == 0.25
