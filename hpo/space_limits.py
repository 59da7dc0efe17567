"""How large a space searchers take in."""

from hpo.domains import Choice
from hpo.errors import MismatchError
from hpo.space import Space

MAX_NAMES = 1_000  # hyperparameters that a model is made of
MAX_OPTIONS = 10_000  # of a Choice that a model is made of


def round_size(names: int) -> int:
    """Trials of a round that does not depend on results: 1024, fewer where each has more than 1024 hyperparameters."""
    return max(1, min(1024, 2**20 // names))


def check_modelled(label: str, space: Space, ordered: bool = False) -> None:
    """Raise MismatchError if `space` is too large to make a model of, in seconds and in memory.

    Args:
        label: of the searcher.
        space: the space.
        ordered: whether an ordered Choice takes as much of a model as another.
    """
    advice = "use searcher 'random', or"
    if len(space) > MAX_NAMES:
        raise MismatchError(
            f"searcher {label!r} cannot learn over {len(space):,} hyperparameters, expected at most {MAX_NAMES:,}: "
            f"{advice} make those that matter least constants of the objective"
        )
    for name, domain in space.items():
        if isinstance(domain, Choice) and (ordered or not domain.ordered) and domain.size > MAX_OPTIONS:
            raise MismatchError(
                f"searcher {label!r} cannot learn over the {domain.size:,} options of {name!r}, expected at most "
                f"{MAX_OPTIONS:,}: {advice} a range or fewer options"
            )
