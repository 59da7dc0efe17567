"""The studies of the storms, as arguments of `hpo run`: every searcher, run in every way."""

from dataclasses import dataclass

NAME = "study"
SEARCHERS = ("grid", "random", "tpe", "halving", "nas", "optuna:CmaEsSampler")
PLACES = ("population", "workers", "in process")
SETTINGS = {"tpe": ("searcher.startup_trials=4",), "halving": ("searcher.eta=2",)}
SMALL = (  # networks that train in milliseconds
    "space.depth=1", "space.width=[4,8]", "space.batch_size=256", "space.activation=relu", "space.dropout=0.0",
    "space.optimizer=['sgd','adam']", "space.learning_rate=[0.01,0.03,0.1]", "space.weight_decay=0.0",
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """A study to be disturbed.

    Attributes:
        searcher: as `hpo run --searcher` takes it.
        place: where its trials run, one of `PLACES`.
        trials: its budget.
    """

    searcher: str
    place: str
    trials: int = 12

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.searcher}, {self.place}"

    def run(self, store: str) -> list[str]:
        """Arguments of `hpo` that make the study or go on with it."""
        changes = list(SETTINGS.get(self.searcher, ()))
        if self.place == "population":
            what, epochs, batch = [], 2, 6
            changes += [change for change in SMALL if self.searcher != "nas" or "space.depth" not in change]
            if self.searcher == "optuna:CmaEsSampler":
                changes.append("space.learning_rate={type='float',low=0.01,high=0.1,log=true}")
        else:
            what, epochs, batch = ["storms.objectives:climb", "--direction", "maximize"], 4, 4
            if self.searcher == "grid":
                changes += ["space.x=[0.0,0.25,0.5,0.75,1.0]", "space.units=[1,2,4]"]
        where = {"population": ["--workers", "1"], "workers": ["--workers", "2"], "in process": []}[self.place]
        return [
            "run", *what, "--searcher", self.searcher, "--trials", str(self.trials), "--epochs", str(epochs),
            "--batch", str(16 if self.searcher == "nas" else batch), "--seed", "5", "--name", NAME, "--verbose",
            "--store", store, *where, *(part for change in changes for part in ("--set", change)),
        ]  # fmt: skip

    def resume(self, store: str) -> list[str]:
        """Arguments of `hpo` that go on with the study, once the store has it."""
        where = {"population": ["--workers", "1"], "workers": ["--workers", "2"], "in process": []}[self.place]
        return ["resume", NAME, "--verbose", "--store", store, *where]


# of one searcher after the other, so that a short storm has met every searcher and every place
STUDIES = [
    Study(searcher, PLACES[(i + turn) % len(PLACES)], 36 if searcher == "nas" else 12)
    for turn in range(len(PLACES))
    for i, searcher in enumerate(SEARCHERS)
]
