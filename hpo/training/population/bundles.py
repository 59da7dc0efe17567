"""Jobs of the shared objective in parts for many machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hpo.training.optimizers import unfused
from hpo.training.population.member import Shape, shape_of
from hpo.training.population.trials import TrainsMembers
from hpo.trial import Job

MOST: Final = 8  # jobs of a part: few enough for every worker to have work, for those sent together train together


def bundles_of(objective: TrainsMembers, jobs: Sequence[Job]) -> list[list[Job]]:
    """`jobs` in parts of one shape, those of the same shape next to each other; what trains alone is by itself."""
    by_shape: dict[Shape | int, list[Job]] = {}
    for i, job in enumerate(jobs):
        try:
            member = objective.members(job)[0]
        except Exception:  # illegal: the engine fails it
            by_shape[i] = [job]
            continue
        alone = bool(unfused(member.settings))
        by_shape.setdefault(i if alone else shape_of(member.settings, member.data), []).append(job)
    return [together[i : i + MOST] for together in by_shape.values() for i in range(0, len(together), MOST)]
