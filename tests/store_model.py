"""What a store should hold, as dictionaries in memory: every call of `Store` and `Comparisons`, told again plainly."""

import copy
import dataclasses
import math
from collections import Counter

from hpo.store import codec
from hpo.store.reader import Event
from hpo.store.store import trial_seed
from hpo.trial import Evaluation, Job, Outcome, Proposal, State, Trial

RAN = (State.DONE, State.FAILED)


class Model:
    """Studies and comparisons by name."""

    def __init__(self):
        self.studies = {}
        self.comparisons = {}

    def copy(self):
        return copy.deepcopy(self)

    # -- writing

    def create_study(self, name, spec, *, trials, source, test_data, initial, if_taken):
        if name in self.studies and if_taken == "return":
            return
        name = free(name, self.studies)
        self.studies[name] = {
            "row": {
                "id": len(self.studies) + 1, "name": name, "spec": spec, "trials": trials, "enqueued": len(initial),
                "source": source, "test_data": test_data,
            },
            "runs": [], "events": [], "trials": [], "evaluations": [], "winners": [], "uses": [],
        }  # fmt: skip
        for params in initial:
            self._add(self.studies[name], params, State.PENDING)

    def begin_run(self, name, trials, environment):
        study = self.studies[name]
        study["runs"].append(environment)
        if trials is not None:
            study["row"]["trials"] = trials
        for found in (*study["trials"], *(e for e in study["evaluations"] if e["told"] is None)):
            if found["state"] == State.CANCELLED:
                found["state"] = State.RUNNING

    def start(self, name, n, proposals, epochs):
        study = self.studies[name]
        asked, jobs = len(study["events"]), []
        study["events"].append(("asked", n))
        fresh = {id(p): self._add(study, p.params, State.RUNNING) for p in proposals if p.continues is None}
        for proposal in proposals:
            trial = fresh[id(proposal)] if proposal.continues is None else study["trials"][proposal.continues]
            trial["state"] = State.RUNNING
            evaluation = {
                "number": trial["number"], "asked": asked, "told": None, "start": trial["epochs"],
                "target": proposal.epochs or epochs, "info": dict(proposal.info), "state": State.RUNNING,
                "epochs": trial["epochs"], "charged": 0, "value": None, "seconds": 0.0, "reason": None, "error": None,
                "curve": {}, "health": {}, "attempts": 1, "log": "", "attrs": {},
            }  # fmt: skip
            study["evaluations"].append(evaluation)
            jobs.append(self._job(study, len(study["evaluations"]) - 1, epochs))
        return jobs

    def record(self, name, outcomes, epochs, told):
        study = self.studies[name]
        for o in outcomes:
            study["evaluations"][o.evaluation] |= {
                "state": o.state, "epochs": o.epochs, "charged": o.charged, "value": o.value, "seconds": o.seconds,
                "reason": o.reason, "error": codec.cut(o.error), "curve": dict(o.curve), "health": dict(o.health),
                "attempts": o.attempts, "log": codec.cut(o.log), "attrs": dict(o.user_attrs),
            }  # fmt: skip
            trial = study["trials"][o.number]
            paused = o.state == State.DONE and o.epochs < epochs
            trial |= {"state": State.PAUSED if paused else o.state, "epochs": o.epochs, "value": o.value}
            trial |= {"seconds": trial["seconds"] + o.seconds, "reason": o.reason}
        if told:
            for evaluation in told:
                study["evaluations"][evaluation]["told"] = len(study["events"])
            study["events"].append(("told", len(told)))

    def cancel(self, name, jobs):
        study = self.studies[name]
        for job in jobs:
            study["evaluations"][job.evaluation]["state"] = study["trials"][job.number]["state"] = State.CANCELLED

    def record_winner(self, name, winner, use):
        self.studies[name]["winners"].append(winner)
        if use is not None:
            self.record_use(name, use)

    def record_use(self, name, use):
        self.studies[name]["uses"].append(use)

    def create_comparison(self, name, spec, plan):
        name = free(name, self.comparisons)
        self.comparisons[name] = {"spec": spec, "plan": plan, "runs": {}, "looks": []}

    def grow(self, name, plan):
        self.comparisons[name]["plan"] = plan

    def add_run(self, name, run, study):
        self.comparisons[name]["runs"][run] = [study, None]

    def end_runs(self, ended):
        for comparison in self.comparisons.values():
            for run in comparison["runs"].values():
                run[1] = ended.get(run[0], run[1])

    def add_look(self, name, seen):
        if seen not in self.comparisons[name]["looks"]:
            self.comparisons[name]["looks"].append(seen)

    def _add(self, study, params, state):
        number = len(study["trials"])
        seed = trial_seed(study["row"]["spec"]["seed"], number)
        trial = {"number": number, "params": params, "seed": seed, "state": state, "value": None, "epochs": 0}
        study["trials"].append(trial | {"seconds": 0.0, "reason": None})
        return study["trials"][-1]

    # -- reading

    def compared(self):
        """Names of the studies that are runs of comparisons."""
        return {run[0] for comparison in self.comparisons.values() for run in comparison["runs"].values()}

    def running(self, name, epochs):
        """Jobs that may end."""
        study = self.studies[name]
        running = [i for i, e in enumerate(study["evaluations"]) if e["state"] == State.RUNNING]
        return [self._job(study, i, epochs) for i in running]

    def untold(self, name):
        """Evaluations that have ended and were not told."""
        found = enumerate(self.studies[name]["evaluations"])
        return [i for i, e in found if e["state"] in RAN and e["told"] is None]

    def numbers(self, name, state):
        return [trial["number"] for trial in self.studies[name]["trials"] if trial["state"] == state]

    def trials(self, name, *, details=True):
        study = self.studies[name]
        return [self._trial(study, trial, details) for trial in study["trials"]]

    def _trial(self, study, trial, details):
        mine = [e for e in study["evaluations"] if e["number"] == trial["number"]]
        ended = [e for e in mine if e["state"] in RAN]
        found = Trial(**trial | {"health": ended[-1]["health"] if ended else {}})
        if not details or not mine:
            return found
        curve, attrs = {}, {}
        for evaluation in mine:
            attrs |= evaluation["attrs"]
            for metric, values in evaluation["curve"].items():
                curve[metric] = curve.get(metric, []) + values
        return dataclasses.replace(
            found,
            curve=curve,
            user_attrs=attrs,
            target=None if mine[-1]["state"] in RAN else mine[-1]["target"],
            error=mine[-1]["error"],
            info=mine[0]["info"],
            attempts=max(e["attempts"] for e in mine),
        )

    def ranking(self, name, direction):
        def comparable(trial):
            return trial.value is not None and math.isfinite(trial.value) and trial.state != State.FAILED

        found = [trial for trial in self.trials(name) if comparable(trial)]
        reached = [trial for trial in found if trial.epochs == max(t.epochs for t in found)]
        sign = -1 if direction == "maximize" else 1
        return sorted(reached, key=lambda trial: (sign * trial.value, trial.number))

    def top(self, name, direction):
        first = {}
        for trial in self.ranking(name, direction):
            first.setdefault(codec.dump_params(trial.params), trial)
        return list(first.values())

    def counts(self, name):
        return dict(Counter(trial["state"] for trial in self.studies[name]["trials"]))

    def failures(self, name):
        found = {}
        for trial in self.studies[name]["trials"]:
            if trial["state"] == State.FAILED:
                found.setdefault(trial["reason"], []).append(trial["number"])
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def history(self, name):
        study, begun, events = self.studies[name], set(), []
        for seq, (kind, n) in enumerate(study["events"]):
            mine = [(i, e) for i, e in enumerate(study["evaluations"]) if e[kind] == seq]
            if kind == "told":
                events.append(Event("told", n, outcomes=tuple(self._outcome(study, i) for i, _ in mine)))
                continue
            proposals = []
            for _, e in mine:
                known = n == 0 or e["number"] in begun
                begun.add(e["number"])
                params = study["trials"][e["number"]]["params"]
                proposals.append(Proposal(params, e["target"], e["number"] if known else None, e["info"]))
            events.append(Event("asked", n, proposals=tuple(proposals)))
        return events

    def open_round(self, name, epochs):
        study = self.studies[name]
        due = [(i, e) for i, e in enumerate(study["evaluations"]) if e["told"] is None]
        jobs = [self._job(study, i, epochs) for i, e in due if e["state"] not in RAN]
        return jobs, [self._outcome(study, i) for i, e in due if e["state"] in RAN]

    def evaluations(self, name):
        fields = [field.name for field in dataclasses.fields(Evaluation)]
        found = enumerate(self.studies[name]["evaluations"])
        return [Evaluation(**{key: (e | {"id": i})[key] for key in fields}) for i, e in found]

    def log(self, name, number):
        return "".join(e["log"] for e in self.studies[name]["evaluations"] if e["number"] == number)

    def _job(self, study, i, epochs):
        e = study["evaluations"][i]
        trial = study["trials"][e["number"]]
        return Job(
            study["row"]["id"], i, e["number"], trial["params"], trial["seed"], e["start"], e["target"], epochs
        )  # fmt: skip

    def _outcome(self, study, i):
        e = study["evaluations"][i]
        fields = ("number", "state", "value", "epochs", "charged", "curve", "seconds", "reason", "error", "health")
        kept = {key: e[key] for key in (*fields, "attempts")}
        return Outcome(params=study["trials"][e["number"]]["params"], evaluation=i, **kept)


def free(name, taken):
    """The name, or the first of name-2, name-3, ... that is not taken."""
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in taken)


def plain(value):
    """What compares as the values do, with 1, 1.0 and True apart and NaN equal to itself."""
    if dataclasses.is_dataclass(value):
        return type(value).__name__, {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(item) for item in value]
    return (value, str) if isinstance(value, str) else (repr(value), type(value).__name__)
