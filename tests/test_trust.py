"""What hpo trusts: no pickle out of a store or a file, no port opened, no plug-in loaded that was not named."""

import ast
import base64
import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import hpo
import searchers
from hpo import Float

ROOT = Path(hpo.__file__).parent.parent
LOADING = {"load", "loads", "Unpickler"}


def modules():
    for package in (hpo, searchers):
        folder = Path(package.__file__).parent
        yield from ((path, path.relative_to(folder.parent).as_posix()) for path in folder.rglob("*.py"))


def calls(tree):
    """Every call `module.name(...)` or `name(...)`, by the name that its module was imported under."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            path = ast.unparse(node.func)
            head, _, rest = path.partition(".")
            yield node, f"{names.get(head, head)}.{rest}" if rest else names.get(head, head)


def unpickled():
    found = []
    for path, name in modules():
        for node, function in calls(ast.parse(path.read_text("utf-8"))):
            module, _, called = function.rpartition(".")
            if called in LOADING and module in (
                "pickle",
                "_pickle",
                "cloudpickle",
                "dill",
                "joblib",
                "marshal",
                "shelve",
            ):
                found.append(name)
            elif function in (
                "numpy.load",
                "pandas.read_pickle",
                "joblib.load",
                "shelve.open",
                "yaml.load",
                "eval",
                "exec",
            ):
                found.append(f"{name}: {function}")
            elif function == "torch.load":
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert keywords.get("weights_only") == "True", name
    return found


@pytest.mark.ci
def test_nothing_is_unpickled_but_what_processes_of_one_run_send_each_other():
    found = unpickled()
    assert found, "the search itself finds those of the executors"
    assert [name for name in found if not name.startswith("hpo/executors/") and name not in ALLOWED] == []


ALLOWED = {"hpo/global_randomness.py", "hpo/training/population/helper.py"}


def test_the_search_for_pickles_sees_them_under_every_name():
    text = "import pickle as p\nfrom torch import load\nfrom cloudpickle import loads as l\np.loads(a)\nload(a)\nl(a)"
    assert {name for _, name in calls(ast.parse(text))} == {"pickle.loads", "torch.load", "cloudpickle.loads"}


class Gadget:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def one(params):
    return 1.0


def test_a_pickle_in_a_store_stays_text(tmp_path):
    trace = tmp_path / "executed"
    gadget = base64.b64encode(pickle.dumps(Gadget(trace))).decode()
    store = tmp_path / "hpo.db"
    study = hpo.search(
        one,
        {"x": [gadget, "b"]},
        "random",
        4,
        direction="maximize",
        store=store,
        name=gadget[:200],
        progress=False,
    )
    again = hpo.load_study(gadget[:200], store)
    assert [trial.params for trial in again.trials] == [trial.params for trial in study.trials]
    again.resume(one, trials=6, progress=False)
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["names that leave the folder", "a tensor of 8 GB in 1 kB", "a bomb"])
def test_an_archive_that_is_a_trap_is_refused_and_nothing_leaves_it(tmp_path, kind):
    from hpo.errors import DataError

    path = tmp_path / "in" / "model.pt"
    path.parent.mkdir()
    written = io.BytesIO()
    torch.save({"network": torch.zeros(251)}, written)
    with zipfile.ZipFile(written) as good:
        parts = {name: good.read(name) for name in good.namelist()}
    pickled = next(name for name in parts if name.endswith("data.pkl"))
    assert b"K\xfb" in parts[pickled], "251, as a pickle writes it"
    parts[pickled] = parts[pickled].replace(b"K\xfb", b"J\xff\xff\xff\x7f")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if kind == "names that leave the folder":
            archive.writestr("../../escaped.txt", "x")
            archive.writestr("../escaped/data.pkl", "x")
        elif kind == "a tensor of 8 GB in 1 kB":
            for name, part in parts.items():
                archive.writestr(name, part)
        else:
            archive.writestr("model/data.pkl", bytes(50_000_000))
    with pytest.raises(DataError, match=r"model\.pt"):
        hpo.load_model(path)
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["in", "model.pt"]


LISTENING = """
import json, os, sys
sys.path.insert(0, {folder!r})
import hpo
def sockets(pid):
    for fd in os.listdir(f"/proc/{{pid}}/fd"):
        try:
            yield os.readlink(f"/proc/{{pid}}/fd/{{fd}}")
        except OSError:  # closed meanwhile
            pass
def ours():
    parents = {{}}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(pid)] = int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = {{os.getpid()}}
    while more := {{pid for pid, parent in parents.items() if parent in found}} - found:
        found |= more
    return found
def ports():
    mine = set()
    for pid in ours():
        try:
            mine |= set(sockets(pid))
        except OSError:  # ended meanwhile
            pass
    found = []
    for table, listening in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        try:
            rows = [line.split() for line in open(f"/proc/net/{{table}}").read().splitlines()[1:]]
        except OSError:
            continue
        found += [row[1] for row in rows if row[3] == listening and f"socket:[{{row[9]}}]" in mine]
    return found, len(ours())
seen = []
def told(study, outcome):
    seen.append(ports())
import listening_objective
hpo.search(listening_objective.f, {{"x": [1, 2, 3, 4]}}, "random", 6, direction="maximize", workers=2, progress=False,
           batch=2, callbacks=[told])
import socket
with socket.create_server(("127.0.0.1", 0)):
    own = ports()[0]
print(json.dumps([seen, len(own)]))
"""


@pytest.mark.ci
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this system does not list its ports in /proc/net")
def test_a_run_with_workers_listens_on_no_port(tmp_path):
    import json

    (tmp_path / "listening_objective.py").write_text("def f(p):\n    return 1.0\n")
    script = LISTENING.format(folder=str(tmp_path))
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    seen, own = json.loads(found.stdout)
    assert len(seen) >= 3
    assert [listening for listening, _ in seen] == [[]] * len(seen)
    assert max(processes for _, processes in seen) >= 3, "the workers are looked at, too"
    assert own == 1, "a port that is open is seen"


@pytest.mark.ci
def test_a_broken_package_of_somebody_else_breaks_nothing_but_itself(tmp_path):
    site = tmp_path / "site"
    info = site / "broken_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (info / "RECORD").write_text("")
    (info / "entry_points.txt").write_text(
        "[hpo.searchers]\nbroken = broken_plugin:Broken\nmissing = no_such_package:X\n"
        "quits = quitting_plugin:X\nlist = broken_list:x\n[hpo.objectives]\nbad = broken_plugin:Objective\n"
    )
    (site / "broken_plugin.py").write_text("open('loaded', 'w').close()\nraise RuntimeError('no licence')\n")
    (site / "quitting_plugin.py").write_text("import sys\nsys.exit(7)\n")
    (site / "broken_list.py").write_text("x = [1]\n")
    (tmp_path / "mine.py").write_text("space = {'x': [1, 2, 3]}\ndef f(p):\n    return p['x']\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])}

    def call(*words):
        command = [sys.executable, "-m", "hpo", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    run = ("run", "mine:f", "--direction", "maximize", "--trials", "2", "--quiet", "--searcher")
    assert call("--help").returncode == 0
    assert call(*run, "random").returncode == 0
    assert not (tmp_path / "loaded").exists(), "loaded by nobody who did not name it"
    for name, why in (("broken", "RuntimeError: no licence"), ("missing", "No module named"), ("quits", "SystemExit")):
        found = call(*run, name)
        assert (found.returncode, found.stdout, len(found.stderr.splitlines())) == (78, "", 1)
        assert f"searcher {name!r}" in found.stderr
        assert why in found.stderr
    assert "expected a name, a Searcher class" in call(*run, "list").stderr
    listed = call("searchers")
    assert listed.returncode == 0, listed.stderr
    assert "tpe" in listed.stdout
    assert "cannot be loaded" in listed.stdout


@pytest.mark.ci
def test_the_wheel_holds_our_packages_and_nothing_else(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install hatchling")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__", ".git", "*.db")
    shutil.copytree(ROOT, source, ignore=ignored)
    (source / "secret.env").write_text("TOKEN=1")
    script = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=source, capture_output=True, text=True, timeout=120
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith("hpo_arena-"), "the name hpo is somebody else's"
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hpo", "searchers", "studies"}


def test_names_in_filters_are_parameters_and_nothing_is_matched_by_pattern():
    for path, name in modules():
        text = path.read_text("utf-8")
        assert " LIKE " not in text, name
        assert " GLOB " not in text, name
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert '"S"' in settings, "ruff's S608 looks for SQL made of text"


def test_space_of_hostile_sql_comes_back(tmp_path):
    names = ["'; DROP TABLE trials; --", '" OR 1=1', "100%_", "?1", ":name", "$x"]
    space = {name: Float(0, 1) for name in names}
    study = hpo.search(
        lambda p: sum(p.values()),
        space,
        "random",
        3,
        direction="maximize",
        store=tmp_path / "a.db",
        progress=False,
        name=names[0],
    )
    assert list(study.to_frame().columns[5:]) == names
    assert hpo.load_study(names[0], tmp_path / "a.db").best_params.keys() == set(names)
