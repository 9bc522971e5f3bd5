"""The whole suite, as collected by pytest.

To run it in your own tests, import everything from here and define a fixture ``contender`` that returns a
``Contender``.
"""

from __future__ import annotations

from conformance.llama_index.fixtures import _server, bench
from conformance.llama_index.sections.agents import TestAgents, TestEngines
from conformance.llama_index.sections.endpoints import TestEndpoints
from conformance.llama_index.sections.events import TestEvents
from conformance.llama_index.sections.failures import TestFailures, TestRetries
from conformance.llama_index.sections.loops import TestLoopsAndThreads
from conformance.llama_index.sections.messages import TestHistories, TestMessages
from conformance.llama_index.sections.metadata import TestMetadata
from conformance.llama_index.sections.options import TestCallOptions
from conformance.llama_index.sections.predicting import TestPredictAndCall
from conformance.llama_index.sections.serialization import TestSerialization
from conformance.llama_index.sections.structured import TestStructuredOutput
from conformance.llama_index.sections.thinking import TestThinking
from conformance.llama_index.sections.tools import TestCallsInResponses, TestTools

SECTIONS = {
    "Endpoints": (TestEndpoints,),
    "Events and callbacks": (TestEvents,),
    "Messages and histories": (TestMessages, TestHistories),
    "Tools": (TestTools, TestCallsInResponses),
    "Structured output": (TestStructuredOutput,),
    "predict_and_call": (TestPredictAndCall,),
    "Agents and engines": (TestAgents, TestEngines),
    "Thinking": (TestThinking,),
    "Metadata": (TestMetadata,),
    "Serialization": (TestSerialization,),
    "Event loops and threads": (TestLoopsAndThreads,),
    "Failures and retries": (TestFailures, TestRetries),
    "Options of a call": (TestCallOptions,),
}

__all__ = [
    "TestAgents",
    "TestCallOptions",
    "TestCallsInResponses",
    "TestEndpoints",
    "TestEngines",
    "TestEvents",
    "TestFailures",
    "TestHistories",
    "TestLoopsAndThreads",
    "TestMessages",
    "TestMetadata",
    "TestPredictAndCall",
    "TestRetries",
    "TestSerialization",
    "TestStructuredOutput",
    "TestThinking",
    "TestTools",
    "_server",
    "bench",
]
