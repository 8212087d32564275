"""What an experiment trains: a net and the settings of its run, and the changes that make one from another."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from hashlib import sha256
from typing import Any

from tinyalex.spec import LayerSpec, Spec
from tinyalex.training.settings import Settings

# What a result does not depend on: where the images lie, when a run validates and saves, and the seed, which is apart.
APART = ("data", "variant", "seed", "validate_every", "save_every", "save_minutes", "check", "workers", "devices")
NET_APART = ("name", "layers", "input_size", "recipe")  # the settings have the size and the recipe that count


@dataclass(frozen=True)
class Trial:
    """A net to train, and how: all that a run depends on, but for its seed and the images.

    settings: of the run. Their variant is that which `spec` was made from.
    goal: the training error of an epoch at which the run ends, a fraction; None: it runs to its last epoch.
    """

    spec: Spec
    settings: Settings
    goal: float | None = None

    def described(self) -> dict[str, Any]:
        """The trial as JSON values: two trials with the same ones give the same results.

        Values that are the defaults of their class are left out, so that a setting that is new in tinyalex changes
        nothing.
        """
        net = _stated(replace(self.spec, layers={}), NET_APART)
        layers = [{"name": name, **_stated(layer)} for name, layer in self.spec.layers.items()]  # a list has an order
        return {"net": net, "layers": layers, "settings": _stated(self.settings, APART), "goal": self.goal}

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for `described`."""
        return sha256(json.dumps(self.described(), sort_keys=True).encode()).hexdigest()[:16]


def _stated(value: Any, apart: Sequence[str] = ()) -> dict[str, Any]:
    """The class of a dataclass, and its fields that have no default or another value than that; but for some."""
    given = {
        field.name: getattr(value, field.name)
        for field in fields(value)
        if field.name not in apart and getattr(value, field.name) != field.default
    }
    return {"kind": type(value).__name__} | {
        name: _stated(one) if is_dataclass(one) else list(one) if isinstance(one, tuple) else one
        for name, one in given.items()
    }


Change = Callable[[Trial], Trial]


def same(trial: Trial) -> Trial:
    """No change."""
    return trial


def settings(**given: Any) -> Change:
    """The change of these settings of the run."""
    return lambda trial: replace(trial, settings=replace(trial.settings, **given))


def scaled(**factors: float) -> Change:
    """The change of these settings by factors; whole numbers stay whole, and at least 1."""

    def change(trial: Trial) -> Trial:
        values = {key: _scaled(getattr(trial.settings, key), factor) for key, factor in factors.items()}
        return replace(trial, settings=replace(trial.settings, **values))

    return change


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_scaled(one, factor) for one in value)
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def net(make: Callable[[Spec], Spec]) -> Change:
    """The change of the net by a function."""
    return lambda trial: replace(trial, spec=make(trial.spec))


def layers(changed: Mapping[str, Callable[[Any], LayerSpec | None]]) -> Change:
    """The change of layers by functions, by name; None removes a layer."""

    def make(spec: Spec) -> Spec:
        made = {name: changed[name](layer) if name in changed else layer for name, layer in spec.layers.items()}
        return replace(spec, layers={name: layer for name, layer in made.items() if layer is not None})

    return net(make)


def without(*names: str) -> Change:
    """The change that removes these layers."""
    return layers({name: lambda _: None for name in names})


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(trial: Trial) -> Trial:
        for one in changes:
            trial = one(trial)
        return trial

    return change
