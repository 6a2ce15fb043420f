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
from gptoss_magic.records.quotes import Citation, Passage, Support
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
    "Passage",
    "RankStep",
    "Request",
    "RoutingTrace",
    "SamplingSettings",
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
