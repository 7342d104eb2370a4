"""The kernels compile for Ampere and Hopper without either at hand, to the code that was meant."""

import json
import os
import subprocess
import sys

import pytest

from clipnerf.fields.backends import triton as backend

pytestmark = pytest.mark.skipif(bool(backend._PROBLEM), reason=f"no Triton: {backend._PROBLEM}")

# Compiles each (kernel, capability, table, constants) of argv[1]; prints what is in the code.
SCRIPT = """
import inspect, json, re, sys
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from clipnerf.fields.backends import triton_kernels, triton_second
numbers = {"count": "i32", "levels": "i32", "info": "*i32"}
for name, capability, table, constants in json.loads(sys.argv[1]):
    half = "*" + {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}[table]
    types = dict.fromkeys(("table", "out", "upstream", "up_grad"), half)
    if constants.get("LOAD", 1) > 1:  # an entry a word
        bits = constants["F"] * (32 if table == "float32" else 16)
        types["table"] = f"*i{bits}"
    if "LOAD" in constants:
        constants["KIND"] = table
    kernel = getattr(triton_kernels, name, None) or getattr(triton_second, name)
    if "KIND" in constants:
        constants["KIND"] = getattr(tl, constants["KIND"])
    names = kernel.arg_names
    signature = {
        n: "constexpr" if n in constants else numbers.get(n, types.get(n, "*fp32")) for n in names
    }
    aligned = [i for i, n in enumerate(names) if "*" in signature[n]]
    if "constexprs" in inspect.signature(ASTSource).parameters:
        source = ASTSource(
            fn=kernel,
            signature=signature,
            constexprs={(names.index(n),): value for n, value in constants.items()},
            attrs={(i,): [["tt.divisibility", 16]] for i in aligned},
        )
    else:  # Triton 3.2
        from triton.backends.compiler import AttrsDescriptor
        signature = {n: kind for n, kind in signature.items() if kind != "constexpr"}
        attrs = AttrsDescriptor.from_dict(
            {"arg_properties": {"tt.divisibility": aligned}, "cls": "AttrsDescriptor"}
        )
        source = ASTSource(fn=kernel, signature=signature, constants=constants, attrs=attrs)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    ptx = compiled.asm["ptx"]
    operations = re.findall(r"(?:ld|st|atom|red)[.][a-z0-9_.:]+", ptx)
    print(json.dumps({
        "shared": compiled.metadata.shared,
        "local": sum(".local" in operation for operation in operations),
        "operations": sorted(set(operations)),
        "cubin": len(compiled.asm["cubin"]),
    }))
"""


def compiled(*cases: tuple[str, int, str, dict]) -> list[dict]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = [sys.executable, "-c", SCRIPT, json.dumps(cases)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(cases)
    assert all(code["cubin"] > 0 and code["local"] == 0 for code in found)  # nothing spills
    return found


def both(block: int = 128, **constants) -> dict:
    return {"D": 3, "F": 2, "BLOCK": block, "GROUP": 8, **constants}


BACKWARD = both(LOAD=4, ADD=2, TO_X=True, TO_TABLE=True)


def test_hopper_loads_and_adds_vectors():
    forward, backward, double = compiled(
        ("_forward", 90, "float16", both(LOAD=4)),
        ("_backward", 90, "float16", BACKWARD),
        ("_double_backward", 90, "float16", both()),
    )
    assert [code["shared"] for code in (forward, backward, double)] == [0, 0, 0]  # no lane waits
    assert "ld.global.v4.b32" in forward["operations"]  # 16 bytes: four entries
    assert "ld.global.v4.b32" in backward["operations"]
    assert any("add.v4.f32" in operation for operation in backward["operations"])
    assert any("add.v2.f32" in operation for operation in double["operations"])


def test_ampere_loads_vectors_and_adds_numbers():
    forward, to_x, to_table = compiled(
        ("_forward", 80, "float16", both(LOAD=4)),
        ("_backward", 80, "float16", BACKWARD | {"ADD": 1, "TO_TABLE": False}),
        ("_scatter", 80, "float16", both()),
    )
    assert [code["shared"] for code in (forward, to_x, to_table)] == [0, 0, 0]
    assert "ld.global.v4.b32" in forward["operations"]
    assert "ld.global.v4.b32" in to_x["operations"]
    assert any("add.f32" in operation for operation in to_table["operations"])


def test_other_dimensions_and_widths_compile():
    compiled(
        ("_forward", 90, "float32", both(LOAD=1) | {"D": 4, "F": 8}),
        ("_forward", 80, "bfloat16", both(LOAD=8) | {"D": 2, "F": 1}),
        ("_backward", 90, "bfloat16", BACKWARD | {"D": 4, "F": 4, "LOAD": 2, "ADD": 1}),
        ("_scatter", 80, "float32", both() | {"D": 2, "F": 8}),
    )
