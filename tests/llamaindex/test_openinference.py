"""What Phoenix and Langfuse get to see: OpenInference's spans, exported in memory."""

from collections.abc import Iterator

import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llamaindex_pickllm import RoutedLLM
from pickllm import Fixed
from tests.llamaindex.scripted import ScriptedLLM
from tests.llamaindex.ways import ANSWERS

# Its handler calls what OpenTelemetry has deprecated; as an error that would be lost in LlamaIndex.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONTEXT = trace.SpanContext(
    trace_id=17, span_id=18, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED)
)


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """OpenInference at work."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    instrumentor = LlamaIndexInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield memory
    finally:
        instrumentor.uninstrument()


@pytest.mark.parametrize("way", ANSWERS)
def test_one_routed_span_with_the_arms_below_it(way: str, exporter: InMemorySpanExporter) -> None:
    """Tokens stand on the arm's alone."""
    ANSWERS[way](RoutedLLM(llms={"only": ScriptedLLM(says="one two")}), "a b c")
    name_to_span = {span.name: span for span in exporter.get_finished_spans()}
    routed, arm = name_to_span[f"RoutedLLM.{way}"], name_to_span[f"ScriptedLLM.{way}"]
    tokens = "llm.token_count.prompt"

    assert 2 == len(name_to_span)
    assert arm.parent is not None
    assert routed.context is not None
    assert arm.parent.span_id == routed.context.span_id
    assert tokens not in (routed.attributes or {})
    assert 3 == (arm.attributes or {})[tokens]


def test_failed_attempts_show(exporter: InMemorySpanExporter) -> None:
    """Each is a span of its own, below the router's."""
    llms = {"bad": ScriptedLLM(error=OSError("gone")), "good": ScriptedLLM()}
    ANSWERS["chat"](RoutedLLM(llms=llms, policy=Fixed(arm="bad")), "Hello")
    spans = exporter.get_finished_spans()

    assert ["ERROR", "OK", "OK"] == sorted(span.status.status_code.name for span in spans)


def test_feedback_goes_by_the_ids_of_the_trace(exporter: InMemorySpanExporter) -> None:
    """So that annotations made in Phoenix, of a query or of a call, can be brought back."""
    llm = RoutedLLM(llms={"only": ScriptedLLM()})
    index = VectorStoreIndex.from_documents(
        [Document(text="x")], embed_model=MockEmbedding(embed_dim=3)
    )
    with trace.use_span(trace.NonRecordingSpan(CONTEXT)):
        index.as_query_engine(llm=llm).query("Hello")
    (routed,) = [s for s in exporter.get_finished_spans() if s.name == "RoutedLLM.predict"]

    assert routed.context is not None
    assert "counted" == llm.feedback(f"{CONTEXT.trace_id:032x}", 1.0)
    assert "repeated" == llm.feedback(f"{routed.context.span_id:016x}", 1.0)
