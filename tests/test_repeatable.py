"""What the arithmetic is set to while results are calculated, and that the user's own settings come back."""

import subprocess
import sys

import pytest
import torch

from fer_lib.network.repeatable import whole_float32

# Torch's two generations of settings cannot be mixed in one process, so each case has its own.
CASE = """
import sys, torch
from fer_lib.network.repeatable import whole_float32

exec(sys.argv[1])

def known():
    found = {}
    for name in sys.argv[2:]:
        try:
            found[name] = eval(name)
        except RuntimeError as refusal:
            found[name] = str(refusal)[:40]
    return found

before = known()
with whole_float32(torch.device("cuda")):
    kinds = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    exact = [kind.fp32_precision for kind in kinds] == ["ieee", "ieee"]
    assert exact, kinds
assert known() == before, (known(), before)
"""
SETTINGS = (
    "torch.backends.cuda.matmul.fp32_precision",
    "torch.backends.cudnn.conv.fp32_precision",
    "torch.backends.cudnn.allow_tf32",
    "torch.backends.cuda.matmul.allow_tf32",
    "torch.get_float32_matmul_precision()",
)


@pytest.mark.skipif(
    not hasattr(torch.backends, "fp32_precision"), reason="torch before 2.9 has one generation"
)
@pytest.mark.parametrize(
    "chosen",
    [
        "pass",
        "torch.backends.fp32_precision = 'tf32'",
        "torch.backends.cudnn.conv.fp32_precision = 'tf32'",
        "torch.set_float32_matmul_precision('medium')",
        "torch.backends.cudnn.allow_tf32 = False",
        "torch.backends.cuda.matmul.allow_tf32 = True",
    ],
)
def test_a_gpu_does_not_round_convolutions_and_products(chosen):
    ended = subprocess.run(
        [sys.executable, "-c", CASE, chosen, *SETTINGS], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_the_users_choice_comes_back_after_an_error_too():
    name = "fp32_precision" if hasattr(torch.backends, "fp32_precision") else "allow_tf32"
    conv = torch.backends.cudnn.conv if name == "fp32_precision" else torch.backends.cudnn
    before = getattr(conv, name)
    with pytest.raises(KeyError), whole_float32(torch.device("cuda")):
        assert getattr(conv, name) in ("ieee", False)
        raise KeyError
    assert getattr(conv, name) == before


def test_autocast_is_off_inside():
    with torch.autocast("cpu", dtype=torch.bfloat16), whole_float32(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
