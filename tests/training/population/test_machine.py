"""What is found out about the machine, and what is said about it."""

import os
from pathlib import Path

import pytest
import torch

from hpo import Float, search
from hpo.errors import UsageError
from hpo.training.objective import SimpleNNObjective
from hpo.training.population import machine

CPU = torch.device("cpu")
NO_GPU = not torch.cuda.is_available() and not torch.backends.mps.is_available()


def test_the_cpu_is_always_there_and_auto_prefers_a_gpu(monkeypatch):
    assert machine.choose_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine.choose_device("auto").type == "mps"


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_with_what_is(name):
    with pytest.raises(UsageError, match=rf"device is '{name}', but torch .* finds here only 'cpu'"):
        machine.choose_device(name)
    with pytest.raises(UsageError, match="finds here only 'cpu'"):
        SimpleNNObjective(device=name).executor()


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="device is 'gpu', expected one of 'auto', 'cpu', 'cuda', 'mps'"):
        SimpleNNObjective(device="gpu")


def test_the_device_is_noted_but_is_not_part_of_what_a_study_is():
    assert SimpleNNObjective(device="cpu").describe() == SimpleNNObjective().describe()
    assert SimpleNNObjective().on_device("cpu").device == "cpu"
    assert SimpleNNObjective(device="cpu").numerics() == "cpu (float32)"


def test_a_functions_device_cannot_be_chosen(tmp_path):
    study = search(
        lambda p: p["x"],
        {"x": Float(0, 1)},
        trials=1,
        direction="maximize",
        progress=False,
        searcher="random",
        store=tmp_path / "hpo.db",
    )
    with pytest.raises(UsageError, match="leave out the device, 'cpu'"):
        study.resume(trials=2, device="cpu", progress=False)


def test_a_driver_without_a_torch_that_uses_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert "install a CUDA build of torch" in machine.driver_without_torch()
    assert SimpleNNObjective().advice() == machine.driver_without_torch()
    assert SimpleNNObjective(device="cpu").advice() is None  # that was a choice
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert machine.driver_without_torch() is None


def test_the_first_line_has_the_advice(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(machine, "driver_without_torch", lambda: "install something")
    search(trials=1, epochs=1, searcher="random", store=tmp_path / "hpo.db")
    assert f"device {SimpleNNObjective().numerics()} (install something);" in capsys.readouterr().err.splitlines()[0]


def test_a_study_that_goes_on_elsewhere_is_warned_about(monkeypatch, tmp_path):
    study = search(trials=1, epochs=1, searcher="random", store=tmp_path / "hpo.db", progress=False)
    monkeypatch.setattr(machine, "describe", lambda device: "cuda (NVIDIA Imaginary, float32)")
    with pytest.warns(UserWarning, match=r"device cpu \(float32\) -> cuda \(NVIDIA Imaginary, float32\)"):
        study.resume(trials=2, progress=False)


@pytest.mark.parametrize(("text", "size"), [("32K", 32768), ("36608K", 37486592), ("2M", 2**21), ("512", 512)])
def test_cache_sizes_are_read_as_linux_writes_them(text, size):
    assert machine._bytes(text) == size


def test_a_chunk_fills_twice_a_threads_share_of_the_last_cache(monkeypatch):
    monkeypatch.setattr(machine, "_last_cache", lambda: 32 * 2**20)
    assert machine.chunk_bytes(CPU, 4) == 16 * 2**20


def test_a_chunk_fills_half_of_a_gpus_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * 2**30, 80 * 2**30))
    assert machine.chunk_bytes(torch.device("cuda"), 1) == 5 * 2**30


def test_a_machine_that_hides_its_caches_gets_a_small_one(monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    monkeypatch.setattr(machine.sys, "platform", "linux")
    assert machine._last_cache() == 8 * 2**20


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no such call")
def test_threads_are_the_cores_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7})
    assert machine.threads(CPU) == 3
    assert machine.threads(torch.device("cuda")) == 1
