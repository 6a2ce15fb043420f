"""litellm: chat, Responses and a stream; thoughts, a call and its result."""

import json
import os

import litellm

KNOWN = {
    "api_base": os.environ["ENDPOINT_URL"],
    "api_key": os.environ["ENDPOINT_KEY"],
    "num_retries": 0,
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]
user = {"role": "user", "content": "The weather?"}
told = {}
for provider in ("openai", "hosted_vllm"):
    model = f"{provider}/base"
    first = litellm.completion(model=model, messages=[user], tools=TOOLS, **KNOWN)
    said = first.choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "Солнце"}
    messages = [user, said.model_dump(), result]
    second = litellm.completion(model=model, messages=messages, tools=TOOLS, **KNOWN)
    chunks = litellm.completion(model=model, messages=messages, tools=TOOLS, stream=True, **KNOWN)
    told[provider] = {
        "call": said.tool_calls[0].function.arguments,
        "text": second.choices[0].message.content,
        "streamed": "".join(one.choices[0].delta.content or "" for one in chunks if one.choices),
        "thought": second.choices[0].message.reasoning_content,
    }
litellm.register_model({"openai/base": {"supports_native_streaming": True}})
whole = litellm.responses(model="openai/base", input="Hi", **KNOWN)
events = litellm.responses(model="openai/base", input="Hi", stream=True, **KNOWN)
kinds = [str(getattr(event.type, "value", event.type)) for event in events]
told["responses"] = {"text": whole.output_text, "kinds": [kinds[0], kinds[-1]]}
print(json.dumps(told))
