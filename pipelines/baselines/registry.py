"""The baselines by name, each with the settings that it tries on the tail of the history."""

from collections.abc import Callable, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from pipelines.baselines.tuning import Options, Trial, Tuned
from pipelines.evaluation.arm import Arm, Setting

Baseline: TypeAlias = Callable[[Setting], Arm]

_HALF_LIVES_S: Final = (600, 1_800, 3_600, 10_800, 43_200, 172_800, 604_800, 2_592_000, 7_776_000)
_REFITTED: Final = Trial(recent=100_000, nights=1)
# What is solved for the whole catalogue is tried on its most popular part.
_EASE_TRIAL_ITEMS: Final = 2_000

# Each imports its module when it is made: a list of names loads no library.


def _popularity(setting: Setting) -> Arm:
    from pipelines.baselines.popularity import Popularity

    return Popularity(setting)


def _popularity_decayed(setting: Setting) -> Arm:
    from pipelines.baselines.popularity import DecayedPopularity

    def make(setting: Setting, options: Options) -> Arm:
        return DecayedPopularity(setting, **options)

    return Tuned(setting, make, _grid(half_life_s=_HALF_LIVES_S))


def _itemknn(setting: Setting) -> Arm:
    from pipelines.baselines.neighbours import ItemKNN

    def make(setting: Setting, options: Options) -> Arm:
        return ItemKNN(setting, **options)

    return Tuned(setting, make, _grid(neighbours=(20, 50, 100, 200, 500)), _REFITTED)


def _ease(setting: Setting) -> Arm:
    from pipelines.baselines.ease import MAX_ITEMS, Ease

    def make(setting: Setting, options: Options) -> Arm:
        return Ease(setting, **options)

    def small(setting: Setting, options: Options) -> Arm:
        return Ease(setting, **options, max_items=min(_EASE_TRIAL_ITEMS, MAX_ITEMS))

    return Tuned(setting, make, _grid(strength=(300.0, 30.0, 100.0, 1000.0)), _REFITTED, small)


def _ials(setting: Setting) -> Arm:
    from pipelines.baselines.ials import ImplicitALS

    def make(setting: Setting, options: Options) -> Arm:
        return ImplicitALS(setting, **options)

    return Tuned(setting, make, _grid(alpha=(5.0, 20.0, 1.5), regularization=(1.0, 10.0, 50.0)))


def _incremental_mf(setting: Setting) -> Arm:
    from pipelines.baselines.incremental import IncrementalMF

    def make(setting: Setting, options: Options) -> Arm:
        return IncrementalMF(setting, **options)

    grid = _grid(rate=(0.2, 0.05), ridge=(0.001, 0.003), negatives=(16, 48))
    return Tuned(setting, make, grid, Trial(recent=60_000))


def _session_cooccurrence(setting: Setting) -> Arm:
    from pipelines.baselines.cooccurrence import SessionCooccurrence

    def make(setting: Setting, options: Options) -> Arm:
        return SessionCooccurrence(setting, back=0.5, **options)

    grid = _grid(near=(0.6, 0.8), half_life=(20_000.0, 100_000.0), again=(1.0, 0.2))
    return Tuned(setting, make, grid)


def _popularity_mix(setting: Setting) -> Arm:
    from pipelines.baselines.mix import PopularityMix

    def make(setting: Setting, options: Options) -> Arm:
        return PopularityMix(setting, ("referrer", "device"), **options)

    grid = _grid(half_life_s=(900.0, 86_400.0, 2_592_000.0), moment=(3.0,), last=(1.0, 0.3, 3.0))
    return Tuned(setting, make, grid)


def _grid(**values: tuple[Any, ...]) -> list[Options]:
    """Every combination."""
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


BASELINES: Final[Mapping[str, Baseline]] = MappingProxyType(
    {
        "popularity": _popularity,
        "popularity-decayed": _popularity_decayed,
        "itemknn": _itemknn,
        "ease": _ease,
        "ials": _ials,
        "incremental-mf": _incremental_mf,
        "session-cooccurrence": _session_cooccurrence,
        "popularity-mix": _popularity_mix,
    }
)
