"""The wire shapes of each kind of server, answering from a script in the tiny vocabulary.

`say(prompt_ids)` gives the ids of an answer, behind `<|start|>assistant`, its end included.
"""

import json

from gptoss_magic.harmony import render
from gptoss_magic.testing import SPECIAL
from tests.serving.remote.wire_server import missing, reply, sse, streamed

NAMES = {f"<|{name}|>": number for number, name in enumerate(SPECIAL)}


def ids_of(codec, messages):
    """A whole answer in tokens, as a model says it."""
    opening = len(render([], codec))
    ids = render(messages, codec, prompt=False)[opening:]
    if messages[-1].channel == "final":
        ids[-1] = codec.special["return"]
    return ids


def tokenized(codec, text):
    """Ids of a text in which names of special tokens are those tokens."""
    ids = []
    while text:
        places = [(text.find(name), name) for name in NAMES if name in text]
        at, name = min(places, default=(len(text), ""))
        ids += codec.encode(text[:at])
        ids += [NAMES[name]] if name else []
        text = text[at + len(name) :]
    return ids


class Kind:
    """`say`: see the module. `between`: what happens between the events of a stream."""

    model = "openai/gpt-oss-20b"

    def __init__(self, codec, say, adapters=(), around=lambda pieces: pieces):
        self.codec, self.say, self.adapters, self.around = codec, say, adapters, around
        self.context = 4096

    def __call__(self, asked):
        handler = self.routes().get((asked.method, asked.path))
        return handler(asked.body) if handler else missing()

    def stream(self, pieces, kind="text/event-stream"):
        return streamed(self.around(pieces), kind)

    def answered(self, prompt, limit, form=None, beside=""):
        """(ids, finish) of an answer; a schema's one word where there is one."""
        if form is not None:
            word = json.dumps(form["enum"][0] if "enum" in form else {"city": "Paris"})
            ids = [*self.codec.encode(word), self.codec.special["return"]]
        else:
            ids = self.say(prompt) if not beside else self.say([*prompt, beside])
        return ids[:limit], "stop" if len(ids) <= limit else "length"


class Vllm(Kind):
    owner = "vllm"

    @property
    def version(self):
        return {"version": "0.33.0"}

    def routes(self):
        return {
            ("GET", "/v1/models"): lambda body: reply({"object": "list", "data": self.models()}),
            ("GET", "/version"): lambda body: reply(self.version),
            ("POST", "/tokenize"): self.tokenize,
            ("POST", "/v1/completions"): self.complete,
        }

    def models(self):
        base = {
            "id": self.model,
            "object": "model",
            "created": 1,
            "owned_by": self.owner,
            "root": self.model,
            "parent": None,
            "max_model_len": self.context,
        }
        children = [base | {"id": one, "parent": self.model} for one in self.adapters]
        return [base, *children]

    def tokenize(self, body):
        ids = tokenized(self.codec, body["prompt"])
        return reply({"count": len(ids), "max_model_len": self.context, "tokens": ids})

    def complete(self, body):
        form = body.get("response_format")
        schema = form["json_schema"]["schema"] if form else None
        beside = body["model"] if body["model"] in self.adapters else ""
        ids, finish = self.answered(body["prompt"], body["max_tokens"], schema, beside)
        if body.get("echo"):
            return reply(self.echoed(body["prompt"], ids))
        return self.stream(self.events(ids, finish, len(body["prompt"])))

    def chunk(self, **choice):
        empty = {"index": 0, "text": "", "logprobs": None, "finish_reason": None}
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 1,
            "model": self.model,
            "choices": [empty | {"stop_reason": None} | choice],
        }

    def events(self, ids, finish, num_prompt):
        for place, token in enumerate(ids):
            is_last = place == len(ids) - 1
            logprobs = {
                "tokens": [self.codec.decode([token])],
                "token_logprobs": [-0.5],
                "top_logprobs": [{}],
                "text_offset": [0],
            }
            yield sse(
                self.chunk(
                    text=self.codec.decode([token]),
                    token_ids=[token],
                    logprobs=logprobs,
                    finish_reason=finish if is_last else None,
                )
            )
        usage = {
            "prompt_tokens": num_prompt,
            "completion_tokens": len(ids),
            "total_tokens": num_prompt + len(ids),
            "prompt_tokens_details": {"cached_tokens": num_prompt - 1},
        }
        yield sse(self.chunk() | {"choices": [], "usage": usage})
        yield sse("[DONE]")

    def echoed(self, prompt, ids):
        scores = [None, *(-0.25 for _ in prompt[1:]), *(-0.5 for _ in ids)]
        choice = {"index": 0, "text": "", "finish_reason": "length"}
        return {"choices": [choice | {"logprobs": {"token_logprobs": scores}}]}


class Ours(Vllm):
    owner = "gptoss_magic"

    @property
    def version(self):
        return {"version": "0.1.0", "server": "gptoss_magic"}

    def complete(self, body):
        form = body.get("response_format")
        if form is None:
            return super().complete(body)
        schema = form["json_schema"]["schema"]
        if schema.get("type") == "no such type":
            return reply({"error": {"message": "the schema is wrong at $.type"}}, 400)
        said = self.say(body["prompt"])
        opened = len(said) - 1 - said[::-1].index(self.codec.special["message"])
        ids = [*said[: opened + 1], *self.answered([], 99, schema)[0]][: body["max_tokens"]]
        return self.stream(self.events(ids, "stop", len(body["prompt"])))


class Sglang(Kind):
    is_incremental = False

    def routes(self):
        return {
            ("GET", "/v1/models"): lambda body: reply(
                {
                    "object": "list",
                    "data": [
                        {
                            "id": self.model,
                            "object": "model",
                            "owned_by": "sglang",
                            "root": self.model,
                            "max_model_len": self.context,
                        },
                        *({"id": one, "parent": self.model} for one in self.adapters),
                    ],
                }
            ),
            ("GET", "/get_server_info"): lambda body: reply(
                {"version": "0.5.23", "tokenizer_path": self.model, "context_length": 4096}
            ),
            ("POST", "/generate"): self.generate,
        }

    def generate(self, body):
        if "stream" not in body:
            return reply(self.scored(body))
        sampling = body["sampling_params"]
        schema = json.loads(sampling["json_schema"]) if "json_schema" in sampling else None
        limit, beside = sampling["max_new_tokens"], body.get("lora_path", "")
        ids, finish = self.answered(body["input_ids"], limit, schema, beside)
        return self.stream(self.events(ids, finish, len(body["input_ids"])))

    def events(self, ids, finish, num_prompt):
        reason = {"type": "length", "length": len(ids)}
        if finish == "stop":
            reason = {"type": "stop", "matched": ids[-1]}
        for end in range(1, len(ids) + 1):
            start = end - 1 if self.is_incremental else 0
            yield sse(
                {
                    "text": None if end < len(ids) else self.codec.decode(ids),
                    "output_ids": ids[start:end],
                    "meta_info": {
                        "id": "1",
                        "finish_reason": reason if end == len(ids) else None,
                        "prompt_tokens": num_prompt,
                        "completion_tokens": end,
                        "cached_tokens": num_prompt - 1,
                        "output_token_logprobs": [[-0.5, one, None] for one in ids[start:end]],
                    },
                }
            )
        yield sse("[DONE]")

    def scored(self, body):
        ids = body.get("input_ids") or tokenized(self.codec, body["text"])
        rest = ids[body["logprob_start_len"] :]
        triples = [[-0.25 if n else None, one, None] for n, one in enumerate(rest)]
        return {"text": "", "meta_info": {"input_token_logprobs": triples}}


class Llama(Kind):
    """`is_eog_told`: whether the token that ends an answer has an event."""

    is_eog_told = True

    def routes(self):
        return {
            ("GET", "/v1/models"): lambda body: reply(
                {"data": [{"id": "gpt-oss.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 9}}]}
            ),
            ("GET", "/props"): lambda body: reply(
                {
                    "default_generation_settings": {"n_ctx": self.context, "params": {}},
                    "total_slots": 4,
                    "build_info": "b8681-abc",
                    "model_path": "/models/gpt-oss.gguf",
                }
            ),
            ("GET", "/api/version"): lambda body: reply({"version": "0.0.0"}),
            ("GET", "/lora-adapters"): lambda body: reply(
                [
                    {"id": n, "path": f"/models/{name}.gguf", "scale": 1.0}
                    for n, name in enumerate(self.adapters)
                ]
            ),
            ("POST", "/tokenize"): lambda body: reply(
                {"tokens": tokenized(self.codec, body["content"])}
            ),
            ("POST", "/completion"): self.complete,
        }

    def complete(self, body):
        used = [one["id"] for one in body.get("lora", ()) if one["scale"]]
        beside = self.adapters[used[0]] if used else ""
        form = body.get("json_schema")
        ids, finish = self.answered(body["prompt"], body["n_predict"], form, beside)
        return self.stream(self.events(ids, finish))

    def events(self, ids, finish):
        """A token that ends within a letter has no event; the next one has the whole letter."""
        held, num_said = b"", 0
        special = set(self.codec.special.values())
        for token in ids:
            num_said += 1
            is_end = token in self.codec.stop_ids
            if is_end and not self.is_eog_told:
                break
            held += b"" if token in special else self.codec.token_bytes(token)
            try:
                text = held.decode()
            except UnicodeDecodeError:
                continue
            held = b""
            probability = {"id": token, "token": text, "logprob": -0.5, "top_logprobs": []}
            yield sse(
                {
                    "index": 0,
                    "content": text,
                    "tokens": [token],
                    "stop": False,
                    "id_slot": -1,
                    "tokens_predicted": num_said,
                    "tokens_evaluated": 5,
                    "completion_probabilities": [probability],
                }
            )
        yield sse(
            {
                "index": 0,
                "content": "",
                "tokens": [],
                "stop": True,
                "stop_type": "eos" if finish == "stop" else "limit",
                "stopping_word": "",
                "tokens_predicted": num_said,
                "timings": {"prompt_n": 1, "cache_n": 41},
            }
        )


class Plain(Kind):
    """Chat completions alone; `say(body)` gives messages. `refuses`: keys that it does not take."""

    key = "reasoning_content"
    refuses = ()

    def routes(self):
        return {
            ("GET", "/v1/models"): lambda body: reply(
                {"object": "list", "data": [{"id": self.model, "object": "model"}]}
            ),
            ("POST", "/v1/chat/completions"): self.complete,
        }

    def complete(self, body):
        for key in self.refuses:
            if key in body:
                words = f"Unsupported parameter: '{key}' is not supported with this model."
                return reply({"error": {"message": words, "type": "invalid_request_error"}}, 400)
        return self.stream(self.events(self.say(body)))

    def chunk(self, delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}

    def events(self, messages):
        yield sse(self.chunk({"role": "assistant", "content": ""}))
        num_calls = 0
        for message in messages:
            if message.recipient:
                yield from self.call(message, num_calls)
                num_calls += 1
                continue
            key = self.key if message.channel == "analysis" else "content"
            for start in range(0, len(message.content), 3):
                yield sse(self.chunk({key: message.content[start : start + 3]}))
        yield sse(self.chunk({}, "tool_calls" if num_calls else "stop"))
        usage = {"prompt_tokens": 70, "completion_tokens": 12, "total_tokens": 82}
        yield sse({"id": "chatcmpl-1", "choices": [], "usage": usage})
        yield sse("[DONE]")

    def call(self, message, index):
        name = message.recipient.removeprefix("functions.")
        begun = {"index": index, "id": "c1", "type": "function"}
        yield sse(self.chunk({"tool_calls": [begun | {"function": {"name": name}}]}))
        for letter in message.content:
            piece = {"index": index, "function": {"arguments": letter}}
            yield sse(self.chunk({"tool_calls": [piece]}))


class Ollama(Kind):
    model = "gpt-oss:20b"

    def routes(self):
        return {
            ("GET", "/v1/models"): lambda body: reply(
                {"object": "list", "data": [{"id": self.model, "owned_by": "library"}]}
            ),
            ("GET", "/api/version"): lambda body: reply({"version": "0.16.1"}),
            ("POST", "/api/chat"): lambda body: self.stream(
                self.events(self.say(body)), "application/x-ndjson"
            ),
        }

    def line(self, **rest):
        value = {"model": self.model, "created_at": "2026-01-01T00:00:00Z", "done": False} | rest
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"

    def events(self, messages):
        for message in messages:
            if message.recipient:
                name = message.recipient.removeprefix("functions.")
                function = {"name": name, "arguments": json.loads(message.content)}
                calls = [{"function": function}]
                yield self.line(message={"role": "assistant", "content": "", "tool_calls": calls})
                continue
            for letter in message.content:
                said = {"role": "assistant", "content": letter}
                if message.channel == "analysis":
                    said = {"role": "assistant", "content": "", "thinking": letter}
                yield self.line(message=said)
        yield self.line(
            message={"role": "assistant", "content": ""},
            done=True,
            done_reason="stop",
            prompt_eval_count=70,
            eval_count=12,
        )


BY_TOKENS = {"vllm": Vllm, "ours": Ours, "sglang": Sglang, "llama": Llama}
BY_MESSAGES = {"plain": Plain, "ollama": Ollama}
