import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.domains import Choice, Float, Int
from hpo.errors import SpaceError
from hpo.optuna_space import distribution, distributions
from hpo.space import Space


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (Float(-1.0, 2.0), FloatDistribution(-1.0, 2.0)),
        (Float(1e-4, 1.0, log=True), FloatDistribution(1e-4, 1.0, log=True)),
        (Float(0.0, 0.3, step=0.1), FloatDistribution(0.0, 0.3, step=0.1)),
        (Float(0.5, 0.5), FloatDistribution(0.5, 0.5)),
        (Int(-3, 5), IntDistribution(-3, 5)),
        (Int(1, 64, log=True), IntDistribution(1, 64, log=True)),
        (Int(2, 10, step=4), IntDistribution(2, 10, step=4)),
        (Choice((None, False, 2, 0.5, "1")), CategoricalDistribution((None, False, 2, 0.5, "1"))),
    ],
)
def test_what_optuna_can_express_is_expressed_exactly(domain, expected):
    assert distribution("x", domain) == expected


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        (Choice((1, 2), ordered=True), "ordered"),
        (Choice(([1], [2])), "list"),
        (Choice(({"a": 1}, 2)), "dict"),
        (Choice(((1, 2), "a")), "tuple"),
        (Choice((1, True)), "1 and True are equal"),
        (Choice((0, "a", 0.0)), "0 and 0.0 are equal"),
        (Choice((0, 1, False)), "0 and False are equal"),
        (Int(0, 2**53 + 1), "2\\^53"),
        (Float(1e6, 1e6 + 1, step=1e-3), "too fine"),
    ],
)
def test_what_it_cannot_express_is_refused_by_name_and_reason(domain, reason):
    with pytest.raises(SpaceError, match=f"'width'.*{reason}"):
        distribution("width", domain)


def test_every_value_of_a_finite_domain_is_contained_in_its_distribution():
    for domain in (Float(-0.7, 0.7, step=0.1), Float(0.0, 1e4, step=1e-3), Int(-9, 9, step=3), Choice(("a", None))):
        optuna_domain = distribution("x", domain)
        for index in range(0, domain.size, max(1, domain.size // 1000)):
            value = domain.grid_value(index, 0)
            raw = optuna_domain.to_internal_repr(value)
            assert optuna_domain._contains(raw)
            assert domain.accept(optuna_domain.to_external_repr(raw)) == value


def test_a_space_becomes_a_dict_by_name():
    space = Space({"kind": ["a", "b"], "rate": Float(0.0, 1.0, when={"kind": ["a"]}), "fixed": 3})
    assert distributions(space) == {
        "kind": CategoricalDistribution(("a", "b")),
        "rate": FloatDistribution(0.0, 1.0),
        "fixed": CategoricalDistribution((3,)),
    }
    with pytest.raises(SpaceError, match="'odd'"):
        distributions(Space({"kind": ["a", "b"], "odd": [1, True]}))
