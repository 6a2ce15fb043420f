"""A random checkpoint of gpt-oss-20b's true size, on a CPU: prompted, and trained for one step."""

import json
import subprocess
import sys

import pytest

from benchmarks.make_checkpoint import make

CODE = """
import json, resource, sys, time
import torch
from gptoss_magic.generation import LocalEngine, SamplingSettings
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.model.load import LoadSettings, load
begin = time.perf_counter()
resident = load(LoadSettings(sys.argv[1], context=512), lambda *_: None)
found = {"load_s": time.perf_counter() - begin}
engine = LocalEngine(resident.model, HarmonyCodec(resident.tokenizer), 512, 10**8)
settings = SamplingSettings(temperature=0, max_tokens=17)
list(engine.stream(list(range(20, 40)), settings))
stream = engine.stream(list(range(50, 70)), settings)
next(stream)
begin = time.perf_counter()
found["tokens_per_s"] = len(list(stream)) / (time.perf_counter() - begin)
from peft import LoraConfig, get_peft_model
names = ["q_proj", "k_proj", "v_proj", "o_proj"]
model = get_peft_model(resident.model, LoraConfig(r=8, target_modules=names))
ids = torch.randint(8, 264, (1, 64))
optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
begin = time.perf_counter()
loss = model(ids, labels=ids).loss
loss.backward()
optimizer.step()
found["step_s"], found["loss"] = time.perf_counter() - begin, float(loss.detach())
grads = [p.grad for p in model.parameters() if p.requires_grad]
found["finite"] = all(bool(g.isfinite().all()) for g in grads)
found["moved"] = sum(float(g.abs().sum()) > 0 for g in grads)
found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
print(json.dumps(found))
"""


@pytest.mark.slow
def test_the_whole_20b_is_prompted_and_trained_within_20_gb(tmp_path):
    path = make("20b", 24, tmp_path / "20b", full_vocabulary=True)
    size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    assert size > 13e9
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert found["finite"]
    assert found["moved"] > 0
    assert found["peak_gb"] < 20
