"""An MCP server over stdio by hand, to test with: it says what its first argument tells it to.

{"tools": [...] or "pages": [[...], "again", ...], "results": {tool: result}, "banner": text on
stdout, "words": text on stderr, "dies": tool that ends it, "list": the whole reply to tools/list}
"""

import json
import os
import sys

TOLD = json.loads(sys.argv[1])
PAGES = TOLD.get("pages") or [TOLD.get("tools", [])]
VERSION = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "odd", "version": "1"}}


def listed(cursor):
    page = int(cursor or 0)
    if PAGES[page] == "again":
        return {"tools": [], "nextCursor": cursor}
    more = {"nextCursor": str(page + 1)} if page + 1 < len(PAGES) else {"nextCursor": None}
    return {"tools": PAGES[page], **more}


def called(name, arguments):
    if name == TOLD.get("dies"):
        print("Error: out of tokens", file=sys.stderr, flush=True)
        os._exit(3)
    said = {"content": [{"type": "text", "text": f"{name} {json.dumps(arguments)}"}]}
    return TOLD.get("results", {}).get(name, said)


print(TOLD.get("banner", ""), flush=True)
print(TOLD.get("words", ""), file=sys.stderr, flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    reply = {"error": {"code": -32601, "message": "Method not found"}}
    params = asked.get("params", {})
    if asked["method"] == "initialize":
        reply = {"result": {**VERSION, "capabilities": {"tools": {}}}}
    elif asked["method"] == "tools/list":
        reply = TOLD.get("list") or {"result": listed(params.get("cursor"))}
    elif asked["method"] == "tools/call":
        reply = {"result": called(params["name"], params.get("arguments"))}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **reply}), flush=True)
