"""What components of all roles have in common."""

from __future__ import annotations

import gc
import reprlib
import tomllib
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import attrs
import pytest
import tomli_w
import torch

from ex4d_core.config.run_config import (
    ComponentConfig,
    RunConfig,
    make_config,
    make_options,
    parse_settings,
    write_config,
)
from ex4d_core.errors import Cancelled, Ex4dError, one_line
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import Progress, silent
from ex4d_core.testing.contracts._values import copy_of, difference, only_new_tensors

Inputs = dict[str, Any]
"""The arguments of one call by name, without those that the kit adds, such as `progress`."""


class ComponentContract:
    """Tests that a component of any role must pass."""

    role: ClassVar[str]
    """One of `ex4d_core.roles.ROLES`."""

    name: ClassVar[str]
    """Name of the component, as users type it; the plugin that offers it must be installed."""

    device: ClassVar[str] = "cpu"
    """Where it works in these tests."""

    @pytest.fixture
    def offer(self) -> Offer:
        """What the plugin says of the component."""
        return Registry().find(self.role, self.name)

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        """The options to test it with, as a TOML file has them; none unless the author gives this fixture."""
        return {}

    @pytest.fixture
    def options(self, offer: Offer, settings: dict[str, Any]) -> Any:
        """The settings as an object of the component's options class."""
        return make_options(offer.spec.options, settings, self.role)

    @pytest.fixture
    def make(self, offer: Offer, options: Any) -> Callable[[], Any]:
        """Make a component afresh."""
        if missing := offer.missing_requirements():
            pytest.skip(f"{offer.name} needs {' and '.join(missing)}; type: {' && '.join(offer.install_commands())}")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")
        component = offer.load()
        return lambda: component(options, device=torch.device(self.device))

    @pytest.fixture
    def component(self, make: Callable[[], Any]) -> Any:
        """The component under test."""
        return make()

    @pytest.fixture
    def inputs(self) -> Inputs:
        """What it is called with in most tests."""
        raise NotImplementedError

    @pytest.fixture
    def bad_inputs(self, inputs: Inputs) -> list[Inputs]:
        """What it must refuse."""
        raise NotImplementedError

    def call(self, component: Any, inputs: Inputs, progress: Progress = silent) -> Any:
        """Do what the role is for."""
        raise NotImplementedError

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """Return in what the result has not the form that the role asks for, or ''."""
        raise NotImplementedError

    @pytest.fixture
    def result(self, component: Any, inputs: Inputs) -> Any:
        """What the component gives; tests of what is in it wait until its form is right."""
        result = self.call(component, copy_of(inputs))
        if misfit := self.misfit(result, inputs):
            pytest.skip(f"the result has not the right form: {misfit}")
        return result

    def test_license_and_summary_are_one_line(self, offer: Offer) -> None:
        for what, text in (("license", offer.spec.license), ("summary", offer.spec.summary)):
            assert text.strip(), f"its {what} is empty"
            assert len(text.splitlines()) == 1, f"its {what} has several lines: {text!r}"

    def test_options_have_help(self, offer: Offer) -> None:
        fields = attrs.fields(offer.spec.options)
        silent_ones = [field.name for field in fields if not field.metadata.get("help", "").strip()]
        assert not silent_ones, f"say `option(..., help=...)` of {', '.join(silent_ones)}"

    def test_options_round_trip_through_toml_and_cli(self, offer: Offer, options: Any) -> None:
        plain = {name: value for name, value in attrs.asdict(options).items() if value is not None}
        config = RunConfig(**{self.role: ComponentConfig(options=plain)})  # type: ignore[arg-type]
        written = make_config(tomllib.loads(write_config(config)))
        texts = [f"{self.role}.{tomli_w.dumps({name: value}).strip()}" for name, value in plain.items()]
        typed = make_config(parse_settings(text.replace(" = ", "=", 1) for text in texts))
        for config in (written, typed):
            given = getattr(config, self.role).options
            again: object = make_options(offer.spec.options, given, self.role)
            assert again == options, f"{options} is read again as {again}"

    def test_result_has_the_required_form(self, component: Any, inputs: Inputs) -> None:
        assert not (fault := self.misfit(self.call(component, inputs), inputs)), fault

    def test_does_not_mutate_inputs(self, component: Any, inputs: Inputs) -> None:
        before = copy_of(inputs)
        self.call(component, inputs)
        assert not (fault := difference(inputs, before)), fault

    def test_is_deterministic(self, make: Callable[[], Any], inputs: Inputs) -> None:
        component = make()
        first, again, afresh = (self.call(made, copy_of(inputs)) for made in (component, component, make()))
        assert not (fault := difference(first, again)), fault
        assert not (fault := difference(first, afresh)), fault

    def test_does_not_touch_global_rng(self, component: Any, inputs: Inputs) -> None:
        before = torch.random.get_rng_state()
        self.call(component, inputs)
        same = torch.equal(torch.random.get_rng_state(), before)
        assert same, "it seeds or draws from torch's global generator; make a torch.Generator for it"

    def test_rejects_invalid_input(self, component: Any, bad_inputs: list[Inputs]) -> None:
        for number, inputs in enumerate(bad_inputs):
            fault = _unlike_refusal(partial(self.call, component, inputs))
            assert not fault, f"bad_inputs[{number}] {fault}; raise one of ex4d_core.errors"

    def test_does_not_leak_tensors(self, component: Any, inputs: Inputs) -> None:
        self.call(component, inputs)
        with only_new_tensors() as new_bytes:
            self.call(component, inputs)
            once = new_bytes()
            for _ in range(2):
                self.call(component, inputs)
            left = new_bytes() - once
        assert left <= 0, f"two more calls left {left} bytes of tensors in memory"

    def test_is_garbage_collected(self, make: Callable[[], Any], inputs: Inputs) -> None:
        component = make()
        self.call(component, inputs)
        left = weakref.ref(component)
        del component
        if left() is not None:  # only in a circle, which is the collector's work
            gc.collect()
        assert left() is None, "something still holds it, and with it all that it has loaded"


def _unlike_refusal(call: Callable[[], object]) -> str:
    """Return what a call did other than to raise an error of ours with a message, or ''."""
    try:
        call()
    except Ex4dError as error:
        return "" if str(error).strip() else "is refused without a word"
    except Exception as error:
        return f"ends in {one_line(error)}"
    return "is taken"


class LongWork(ComponentContract):
    """Tests of components that tell how far they are."""

    def test_reports_progress_from_zero_to_total(self, component: Any, inputs: Inputs) -> None:
        told: list[tuple[int, int]] = []
        self.call(component, inputs, lambda done, total: told.append((done, total)))
        assert told, "progress was never called"
        heard = f"(done, total) came as {reprlib.repr(told)}"
        assert told[0][0] == 0, f"{heard}; begin with 0"
        assert told[-1][0] == told[-1][1] > 0, f"{heard}; end with the total"
        assert sorted(told) == told, f"{heard}; never go back"
        assert len({total for _, total in told}) == 1, f"{heard}; keep the total"

    def test_can_be_cancelled_and_rerun(self, component: Any, inputs: Inputs) -> None:
        def stop(done: int, total: int) -> None:
            raise Cancelled("the user asked to stop")

        check_cancelled(lambda: self.call(component, copy_of(inputs), stop))
        self.call(component, inputs)


def check_cancelled(call: Callable[[], object]) -> None:
    """Fail unless `Cancelled`, which `progress` raises in the call, gets through."""
    try:
        call()
    except Cancelled:
        return
    pytest.fail("it went on although progress raised Cancelled")
