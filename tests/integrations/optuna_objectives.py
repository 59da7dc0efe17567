"""Objectives written for Optuna, as a user's module has them."""

import optuna

import hpo

space = {
    "lr": hpo.Float(1e-5, 1e-1, log=True),
    "width": hpo.Int(8, 64, step=8),
    "optimizer": hpo.Choice(["sgd", "adam"]),
    "momentum": hpo.Float(0, 0.9, when={"optimizer": ["sgd"]}),
}


def objective(trial):
    """Nine steps towards a value that depends on all hyperparameters."""
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    width = trial.suggest_int("width", 8, 64, step=8)
    momentum = 0.0
    if trial.suggest_categorical("optimizer", ["sgd", "adam"]) == "sgd":
        momentum = trial.suggest_float("momentum", 0, 0.9)
    trial.set_user_attr("parameters", 10 * width)
    for step in range(9):
        value = lr + momentum + width / (step + 1)
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


wrapped = hpo.from_optuna(objective)
nameless = hpo.from_optuna(lambda trial: trial.suggest_float("x", -1, 1) ** 2)


@hpo.from_optuna
def decorated(trial):
    """Without a space."""
    return trial.suggest_float("x", -1, 1) ** 2
