"""Frozen records that travel between rooms. No behaviour beyond plain views of themselves."""

from gptoss_magic.records.answers import Answer, AnswerToken, RoutingTrace, Step, Transcript, Usage
from gptoss_magic.records.messages import (
    ChannelDelta,
    Message,
    TokenDelta,
    ToolCall,
    ToolSpec,
    function_name,
)
from gptoss_magic.records.pages import OpenPage, PageSource, Snippet, SourcePage
from gptoss_magic.records.quotes import PAGES, Citation, Passage, Support
from gptoss_magic.records.requests import (
    AnswerForm,
    Consent,
    ExpertProbe,
    Generation,
    Limits,
    Listener,
    OfferedTool,
    Request,
    SamplingSettings,
    Turn,
    Voice,
)
from gptoss_magic.records.studies import (
    AdapterComparison,
    Drift,
    Example,
    Mapped,
    RankStep,
    StepMetrics,
    SuiteProbe,
)
from gptoss_magic.records.terms import Term

__all__ = [
    "PAGES",
    "AdapterComparison",
    "Answer",
    "AnswerForm",
    "AnswerToken",
    "ChannelDelta",
    "Citation",
    "Consent",
    "Drift",
    "Example",
    "ExpertProbe",
    "Generation",
    "Limits",
    "Listener",
    "Mapped",
    "Message",
    "OfferedTool",
    "OpenPage",
    "PageSource",
    "Passage",
    "RankStep",
    "Request",
    "RoutingTrace",
    "SamplingSettings",
    "Snippet",
    "SourcePage",
    "Step",
    "StepMetrics",
    "SuiteProbe",
    "Support",
    "Term",
    "TokenDelta",
    "ToolCall",
    "ToolSpec",
    "Transcript",
    "Turn",
    "Usage",
    "Voice",
    "function_name",
]
