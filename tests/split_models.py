"""transformers' tiny model with its experts as plain linears, as other tools train them in peft."""

import copy

import torch
from torch import nn


class Apart(nn.Module):
    """The experts of one layer by linears; `projections` gives gate, up and down of one."""

    def __init__(self, experts):
        super().__init__()
        self.num_experts, self.alpha, self.limit = experts.num_experts, experts.alpha, experts.limit

    def forward(self, hidden, chosen, weights):
        total = torch.zeros_like(hidden)
        for number in range(self.num_experts):
            rows, places = torch.where(chosen == number)
            gate, up, down = self.projections(number, hidden[rows])
            gate, up = gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit)
            out = down((up + 1) * gate * torch.sigmoid(gate * self.alpha))
            total.index_add_(0, rows, out * weights[rows, places, None])
        return total


class Numbered(Apart):
    """Unsloth's names: gate_up_projs.3 and down_projs.3."""

    def __init__(self, experts):
        super().__init__(experts)
        self.gate_up_projs = nn.ModuleList(
            map(linear, experts.gate_up_proj, experts.gate_up_proj_bias)
        )
        self.down_projs = nn.ModuleList(map(linear, experts.down_proj, experts.down_proj_bias))

    def projections(self, number, x):
        both = self.gate_up_projs[number](x)
        return both[..., ::2], both[..., 1::2], self.down_projs[number]


class PerExpert(Apart):
    """vLLM's and Megatron's names: 3.gate_proj, 3.up_proj and 3.down_proj."""

    def __init__(self, experts):
        super().__init__(experts)
        for number in range(experts.num_experts):
            both = linear(experts.gate_up_proj[number], experts.gate_up_proj_bias[number])
            one = nn.Module()
            one.gate_proj = linear(both.weight[::2].T, both.bias[::2])
            one.up_proj = linear(both.weight[1::2].T, both.bias[1::2])
            one.down_proj = linear(experts.down_proj[number], experts.down_proj_bias[number])
            self.add_module(str(number), one)

    def projections(self, number, x):
        one = self.get_submodule(str(number))
        return one.gate_proj(x), one.up_proj(x), one.down_proj


def linear(w_KN, bias_N):
    made = nn.Linear(*w_KN.shape)
    made.weight, made.bias = nn.Parameter(w_KN.detach().T.clone()), nn.Parameter(bias_N.clone())
    return made


def with_experts(plain, kind):
    """A copy of transformers' model with experts of `kind` (Numbered, PerExpert)."""
    model = copy.deepcopy(plain)
    for layer in model.model.layers:
        layer.mlp.experts = kind(layer.mlp.experts)
    return model
