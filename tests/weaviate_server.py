"""Weaviate's REST and GraphQL interfaces on loopback, in the shapes that its documentation has.

Schema, batches, objects by cursor, deletion by condition, `Get` with nearVector, bm25 and where,
`Aggregate` with meta: no more. What it does not know is an error, as the server's own are.
"""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

SIGN, TEXT = r"[{}\[\]():,]", r'"(?:[^"\\]|\\.)*"'
NAME, NUMBER = r"[A-Za-z_]\w*", r"-?[\d.]+(?:e-?\d+)?"
TOKEN = re.compile(rf"\s*(?:{SIGN}|{TEXT}|{NAME}|{NUMBER})")


class Query:
    """A GraphQL text, read by descent: `field(argument: value, …) { field … }`."""

    def __init__(self, text):
        self.tokens, at = [], 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"Syntax Error GraphQL (1:{at}) Unexpected character")
            self.tokens.append(match.group().strip())
            at = match.end()

    def take(self, wanted=None):
        token = self.tokens.pop(0)
        if wanted not in (None, token):
            raise ValueError(f"Syntax Error GraphQL: Expected {wanted}, found {token}")
        return token

    def fields(self):
        """{name: (arguments, fields)}."""
        found = {}
        self.take("{")
        while self.tokens[0] != "}":
            name = self.take()
            arguments = self.pairs("(", ")") if self.tokens[0] == "(" else {}
            found[name] = (arguments, self.fields() if self.tokens[0] == "{" else {})
        self.take("}")
        return found

    def pairs(self, begin, end):
        found = {}
        self.take(begin)
        while self.tokens[0] != end:
            name = self.take()
            self.take(":")
            found[name] = self.value()
            if self.tokens[0] == ",":
                self.take()
        self.take(end)
        return found

    def value(self):
        if self.tokens[0] == "{":
            return self.pairs("{", "}")
        if self.tokens[0] != "[":
            token = self.take()
            return token if re.match(r"[A-Za-z]", token) else json.loads(token)
        self.take()
        found = []
        while self.tokens[0] != "]":
            found.append(self.value())
            if self.tokens[0] == ",":
                self.take()
        self.take()
        return found


class Weaviate:
    """Classes and their objects; `most`: what one request finds or deletes at most."""

    def __init__(self, key="", most=10_000):
        self.classes, self.objects, self.key, self.most = {}, {}, key, most
        self.asked, self.refuse = [], ""

    def fits(self, kind, where, one):
        if where["operator"] == "And":
            return all(self.fits(kind, part, one) for part in where["operands"])
        (path,) = where["path"]
        about = {prop["name"]: prop for prop in self.classes[kind]["properties"]}[path]
        if not about.get("indexFilterable", True):
            raise ValueError(f"Filtering by property '{path}' requires inverted index")
        name = "valueInt" if about["dataType"] == ["int"] else "valueText"
        values = where[name] if where["operator"] == "ContainsAny" else [where[name]]
        if where["operator"] not in ("ContainsAny", "Equal"):
            raise ValueError(f"unknown operator {where['operator']}")
        held = one["properties"][path]
        if name == "valueText":  # tokenization "field": the whole value, trimmed
            return held.strip() in {value.strip() for value in values}
        return held in values

    def found(self, kind, arguments):
        held = list(self.objects[kind].values())
        if "where" in arguments:
            held = [one for one in held if self.fits(kind, arguments["where"], one)]
        more = [{"id": one["id"], "vector": one.get("vector")} for one in held]
        pairs = list(zip(held, more, strict=True))
        if "nearVector" in arguments:
            asked = np.array(arguments["nearVector"]["vector"])
            pairs = [(one, extra) for one, extra in pairs if one.get("vector")]
            for one, extra in pairs:
                there = np.array(one["vector"])
                size = np.linalg.norm(asked) * np.linalg.norm(there)
                extra["distance"] = float(1 - asked @ there / size)
            pairs.sort(key=lambda pair: pair[1]["distance"])
        if "bm25" in arguments:
            pairs = self.ranked(kind, arguments["bm25"], pairs)
        return pairs[: min(arguments.get("limit", 25), self.most)]

    def ranked(self, kind, bm25, pairs):
        (column,) = bm25["properties"]
        about = {prop["name"]: prop for prop in self.classes[kind]["properties"]}[column]
        if not about["indexSearchable"]:
            raise ValueError(f"{column}: not searchable")
        texts = [re.findall(r"\w+", one["properties"][column].lower()) for one, _ in pairs]
        scored = []
        for (one, extra), words in zip(pairs, texts, strict=True):
            score = 0.0
            for word in set(re.findall(r"\w+", bm25["query"].lower())) & set(words):
                score += np.log(1 + len(texts) / sum(word in text for text in texts)) / len(words)
            if score > 0:
                extra["score"] = str(score)
                scored.append((one, extra))
        return sorted(scored, key=lambda pair: -float(pair[1]["score"]))

    def graphql(self, text):
        (verb, (_, inner)), *more = Query(text).fields().items()
        (kind, (arguments, fields)), *others = inner.items()
        assert not more
        assert not others
        if kind not in self.classes:
            raise ValueError(f'Cannot query field "{kind}" on type "{verb}ObjectsObj"')
        if verb == "Aggregate":
            return {verb: {kind: [{"meta": {"count": len(self.objects[kind])}}]}}
        rows = []
        for one, extra in self.found(kind, arguments):
            row = {name: one["properties"].get(name) for name in fields if name != "_additional"}
            wanted = fields["_additional"][1]
            rows.append(row | {"_additional": {name: extra[name] for name in wanted}})
        return {verb: {kind: rows}}

    def answer(self, method, path, query, body):
        """(status, JSON)."""
        if path == "/v1/graphql" and method == "POST":
            try:
                return 200, {"data": self.graphql(body["query"])}
            except (ValueError, KeyError) as error:
                return 200, {"data": None, "errors": [{"message": str(error)}]}
        if path == "/v1/schema" and method == "POST":
            assert re.fullmatch(r"[A-Z][_0-9A-Za-z]*", body["class"])
            if body["class"] in self.classes:
                return 422, {"error": [{"message": "class already exists"}]}
            self.classes[body["class"]], self.objects[body["class"]] = body, {}
            return 200, body
        if path.startswith("/v1/schema/"):
            kind = path.removeprefix("/v1/schema/")
            if method == "DELETE":
                self.classes.pop(kind, None)
                self.objects.pop(kind, None)
                return 200, None
            return (200, self.classes[kind]) if kind in self.classes else (404, None)
        if path == "/v1/batch/objects":
            return 200, (self.put if method == "POST" else self.delete)(body)
        if path == "/v1/objects" and method == "GET":
            return 200, self.walked(query)
        return 404, {"error": [{"message": f"path {path} was not found"}]}

    def put(self, body):
        told = []
        for one in body["objects"]:
            about = {prop["name"]: prop for prop in self.classes[one["class"]]["properties"]}
            kinds = {"text": str, "int": int}
            for name, value in one["properties"].items():
                assert isinstance(value, kinds[about[name]["dataType"][0]])
            result = {"status": "SUCCESS"}
            if self.refuse:
                result = {"status": "FAILED", "errors": {"error": [{"message": self.refuse}]}}
            else:
                self.objects[one["class"]][one["id"]] = one
            told.append({**one, "result": result})
        return told

    def delete(self, body):
        kind, where = body["match"]["class"], body["match"]["where"]
        fit = [key for key, one in self.objects[kind].items() if self.fits(kind, where, one)]
        for key in fit[: self.most]:
            del self.objects[kind][key]
        gone = min(len(fit), self.most)
        results = {"matches": len(fit), "limit": self.most, "successful": gone, "failed": 0}
        return {"match": body["match"], "output": body["output"], "results": results}

    def walked(self, query):
        held = sorted(self.objects[query["class"]].values(), key=lambda one: one["id"])
        rest = [one for one in held if one["id"] > query.get("after", "")]
        part = [dict(one) for one in rest[: int(query["limit"])]]
        for one in part:
            if query.get("include") != "vector":
                one.pop("vector", None)
        return {"objects": part, "totalResults": len(part)}


@contextmanager
def weaviate_server(**how):
    """(address, the server's state)."""
    state = Weaviate(**how)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self):
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.asked.append((self.command, parts.path, dict(self.headers)))
            if state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
                status, told = 401, {"code": 401, "message": "anonymous access not enabled"}
            else:
                body = json.loads(data) if data else None
                status, told = state.answer(self.command, parts.path, query, body)
            text = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
