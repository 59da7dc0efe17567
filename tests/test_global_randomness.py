"""No global random generator is drawn from: every number comes from a stream with a key."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("hpo", "searchers", "scripts") for path in (ROOT / folder).rglob("*.py"))

# the one module that keeps the global generators of user functions apart may set, save and restore them
KEEPER = "hpo/global_randomness.py"
KEEPING = {
    "numpy.random.get_state",
    "numpy.random.seed",
    "numpy.random.set_state",
    "random.getstate",
    "random.seed",
    "random.setstate",
    "torch.cuda.get_rng_state_all",
    "torch.cuda.set_rng_state_all",
    "torch.get_rng_state",
    "torch.manual_seed",
    "torch.set_rng_state",
}
TORCH_MODULES = ("torch", "torch.random", "torch.cuda", "torch.cuda.random", "torch.mps", "torch.xpu")
NUMPY_TYPES = {f"numpy.random.{name}" for name in ("BitGenerator", "Generator", "Philox", "SeedSequence")}
TORCH_DRAWS = """
    torch.bernoulli torch.multinomial torch.normal torch.poisson torch.rand torch.rand_like torch.randint
    torch.randint_like torch.randn torch.randn_like torch.randperm torch.utils.data.random_split
    torch.utils.data.RandomSampler
"""
TORCH_STATE = """
    fork_rng get_rng_state get_rng_state_all initial_seed manual_seed manual_seed_all seed seed_all set_rng_state
    set_rng_state_all
"""
TENSOR_DRAWS = "bernoulli_ cauchy_ exponential_ geometric_ log_normal_ normal_ random_ uniform_"
TENSOR_CONSTANTS = "constant_ dirac_ eye_ ones_ zeros_"


def _imported(tree: ast.AST) -> dict[str, str]:
    """Local name -> what it stands for, "np" -> "numpy", wherever in the module it is imported."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _path(node: ast.expr, imported: dict[str, str]) -> str | None:
    """The full dotted name that `node` stands for, if an import began it."""
    if isinstance(node, ast.Name):
        return imported.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := _path(node.value, imported)) is not None:
        return f"{owner}.{node.attr}"
    return None


def _given(node: ast.expr) -> bool:
    return not (isinstance(node, ast.Constant) and node.value is None)


def _global(path: str, call: ast.Call | None) -> bool:
    """Whether `path`, called by `call` or only mentioned, reaches a global generator or draws without a seed."""
    module, _, name = path.rpartition(".")
    with_generator = call is not None and any(k.arg == "generator" and _given(k.value) for k in call.keywords)
    if path == "numpy.random.default_rng":
        return call is None or not call.args or not _given(call.args[0])
    if module == "numpy.random":
        return path not in NUMPY_TYPES
    if path in TORCH_DRAWS.split() or name in TENSOR_DRAWS.split():
        return not with_generator
    if module == "torch.nn.init":
        return name not in TENSOR_CONSTANTS.split() and not with_generator
    return module == "random" or (module in TORCH_MODULES and name in TORCH_STATE.split())


def violations(source: str) -> set[tuple[int, str]]:
    """Line and name of each use of a global generator, and of each draw without a seed."""
    tree = ast.parse(source)
    imported = _imported(tree)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            path = _path(node, imported) or (f"?.{node.attr}" if isinstance(node, ast.Attribute) else "")
            if _global(path, calls.get(id(node))):
                found.add((node.lineno, path))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_uses_a_global_generator(path: Path) -> None:
    allowed = KEEPING if path.relative_to(ROOT).as_posix() == KEEPER else set()
    assert not {(line, name) for line, name in violations(path.read_text(encoding="utf-8")) if name not in allowed}


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.random()",
        "import random as r\nchoose = r.choice",
        "from random import shuffle\nshuffle(x)",
        "import numpy as np\nnp.random.rand(3)",
        "import numpy as np\nnp.random.seed(0)",
        "import numpy\nnumpy.random.RandomState(0)",
        "from numpy import random as nr\nnr.normal()",
        "from numpy.random import uniform\nuniform()",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.default_rng(None)",
        "def f():\n    import torch\n    torch.manual_seed(0)",
        "import torch\ntorch.cuda.manual_seed_all(0)",
        "import torch\nx = torch.rand(3)",
        "import torch as t\nt.randperm(3, generator=None)",
        "import torch\ntorch.empty(3).uniform_(0, 1)",
        "from torch import randn\nrandn(3)",
        "from torch import manual_seed\nmanual_seed(0)",
        "import torch.nn as nn\nnn.init.xavier_uniform_(w)",
        "from torch import nn\nnn.init.normal_(w)",
        "import torch\ntorch.utils.data.random_split(data, [1, 2])",
    ],
)
def test_global_draws_are_found(source: str) -> None:
    assert violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\ndef f(rng: np.random.Generator) -> float:\n    return rng.random()",
        "import numpy as np\nnp.random.Generator(np.random.Philox(key=3))",
        "import numpy as np\nnp.random.default_rng(3).normal()",
        "import torch\ntorch.randperm(3, generator=g)",
        "import torch\ntorch.Generator().manual_seed(3)",
        "import torch\ntorch.nn.init.zeros_(w)",
        "from searchers import random\nrandom.Random()",
        "from hpo import seeding\nseeding.uniform(keys, 3)",
    ],
)
def test_keyed_draws_are_allowed(source: str) -> None:
    assert not violations(source)


def test_the_exception_is_needed() -> None:
    used = {name for _, name in violations((ROOT / KEEPER).read_text(encoding="utf-8"))}
    assert used
    assert used <= KEEPING
