"""What an experiment trains: a net and the settings of its run, and the changes that make one from another."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from typing import Any

from tinyalex.spec import LayerSpec, Spec
from tinyalex.training.settings import Settings

# What a result does not depend on: where the images lie, when a run validates and saves, and the seed, which is apart.
APART = ("data", "variant", "seed", "validate_every", "save_every", "save_minutes", "check", "workers", "devices")


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
        """The trial as JSON values, in full: two trials with the same ones give the same results."""
        net = {field.name: getattr(self.spec, field.name) for field in fields(Spec)} | {
            "layers": [f"{name}: {layer}" for name, layer in self.spec.layers.items()]  # a list has an order
        }
        for unused in ("name", "recipe", "input_size"):  # the settings have what counts
            del net[unused]
        settings = {key: value for key, value in asdict(self.settings).items() if key not in APART}
        return {"net": net, "settings": settings, "goal": self.goal}

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for `described`."""
        return sha256(json.dumps(self.described(), sort_keys=True).encode()).hexdigest()[:16]


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
