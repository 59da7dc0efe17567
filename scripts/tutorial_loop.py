"""The loop that tutorials teach, in plain torch: the other side of the benchmarks."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hpo.training.data import Data

Params = Mapping[str, Any]


def make_model(params: Params, data: Data) -> nn.Sequential:
    kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "leaky_relu": nn.LeakyReLU}
    layers: list[nn.Module] = []
    fan_in = data.n_inputs
    for _ in range(params["depth"]):
        layers += [nn.Linear(fan_in, params["width"]), kinds[params.get("activation", "relu")]()]
        if params.get("dropout", 0) > 0:
            layers.append(nn.Dropout(params["dropout"]))
        fan_in = params["width"]
    return nn.Sequential(*layers, nn.Linear(fan_in, data.n_outputs))


def make_optimizer(params: Params, model: nn.Module) -> torch.optim.Optimizer:
    name, weights = params["optimizer"], model.parameters()
    rate, decay = params["learning_rate"], params.get("weight_decay", 0.0)
    if name in ("sgd", "momentum", "nesterov"):
        momentum = 0.0 if name == "sgd" else params.get("momentum", 0.9)
        return torch.optim.SGD(weights, rate, momentum, weight_decay=decay, nesterov=name == "nesterov")
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    optimizer: torch.optim.Optimizer = kinds[name](weights, rate, weight_decay=decay)
    return optimizer


def train_loop(params: Params, data: Data, seed: int, epochs: int) -> float:
    """The tutorial's loop; returns the accuracy on validation data, NaN as soon as a loss is not finite."""
    order = torch.Generator().manual_seed(seed)
    model = make_model(params, data)
    optimizer = make_optimizer(params, model)
    criterion = nn.CrossEntropyLoss()
    x, y = data.train.x, data.train.y
    accuracy = math.nan
    for _ in range(epochs):
        model.train()
        loss_sum = 0.0
        for batch in torch.split(torch.randperm(len(y), generator=order), params["batch_size"]):
            optimizer.zero_grad()
            loss = criterion(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(batch)
        model.eval()
        with torch.no_grad():
            logits = model(data.validation.x)
            validation_loss = criterion(logits, data.validation.y).item()
            accuracy = (logits.argmax(dim=1) == data.validation.y).float().mean().item()
        if not math.isfinite(loss_sum + validation_loss):
            return math.nan
    return accuracy


def flops(params: Params, data: Data, epochs: int) -> int:
    """Multiplications and additions of a trial's matrix products; no gradient is needed of the inputs."""
    sizes = [data.n_inputs, *[int(params["width"])] * params["depth"], data.n_outputs]
    weights = [fan_in * fan_out for fan_in, fan_out in itertools.pairwise(sizes)]
    training = len(data.train.y) * (6 * sum(weights) - 2 * weights[0])
    return epochs * (training + len(data.validation.y) * 2 * sum(weights))
