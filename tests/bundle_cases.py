"""A small notebook with records, and bundles of it that were made wrong."""

import hashlib
import json
import struct
import zipfile

from gptoss_magic.records.packed import pack_ids, pack_logprobs
from gptoss_magic.sharing.notebooks import KEY


def record(**more):
    call = {
        "prompt": pack_ids([1, 2, 3]),
        "answer": pack_ids([4, 5]),
        "kept": 0,
        "logprobs": pack_logprobs([-0.5, -0.25]),
        "finish": "return",
    }
    return {
        "version": 2,
        "model": "built-in",
        "weights": "ab" * 32,
        "template": "0123456789abcdef",
        "generations": [call],
        **more,
    }


def answered(source="%%gptoss\nHello", text="Hi", **more):
    """A cell with an answer whose record has `more`."""
    data = {"text/plain": [text]}
    output = {"output_type": "display_data", "data": data, "metadata": {KEY: record(**more)}}
    return code(source, output)


def code(source, *outputs, count=1):
    return {
        "cell_type": "code",
        "source": source.splitlines(keepends=True),
        "outputs": list(outputs),
        "execution_count": count,
        "metadata": {},
    }


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def write(path, *cells):
    """The notebook of these cells as a file."""
    path.write_text(json.dumps(notebook(*cells), ensure_ascii=False), encoding="utf-8")
    return path


def contents(bundle):
    """Bytes by path."""
    with zipfile.ZipFile(bundle) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def listed(files):
    """The files with a manifest that lists them as they are."""
    manifest = json.loads(files["bundle.json"])
    manifest["files"] = [
        {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in files.items()
        if path != "bundle.json"
    ]
    return {**files, "bundle.json": json.dumps(manifest).encode()}


def zipped(path, files, method=zipfile.ZIP_DEFLATED, **about):
    """A zip of `files`; `about`: attributes of the entry of each."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            for key, value in about.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    return path


def tensors(size=0):
    """A safetensors file without tensors."""
    head = b"{}".ljust(8)
    return struct.pack("<Q", len(head)) + head + bytes(size)
