"""Requirements of components of all roles."""

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
from ex4d_core.testing.contracts._values import copy_of, counter_of_new_tensors, difference

Inputs = dict[str, Any]
"""The arguments of one call by name, without those that the kit adds, such as `progress`."""


class ComponentContract:
    """Tests that a component of any role must pass."""

    role: ClassVar[str]
    """One of `ex4d_core.roles.ROLES`."""

    name: ClassVar[str]
    """Name of the component; its plugin must be installed."""

    device: ClassVar[str] = "cpu"
    """Device of the tests."""

    @pytest.fixture
    def offer(self) -> Offer:
        """The offer of the plugin."""
        return Registry().find(self.role, self.name)

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        """Options to test with, as in a TOML file; override this fixture to set some."""
        return {}

    @pytest.fixture
    def options(self, offer: Offer, settings: dict[str, Any]) -> Any:
        """The settings as an instance of the options class."""
        return make_options(offer.spec.options, settings, self.role)

    @pytest.fixture
    def make(self, offer: Offer, options: Any) -> Callable[[], Any]:
        """Create a new component."""
        if missing := offer.missing_requirements():
            pytest.skip(f"{offer.name} requires {' and '.join(missing)}; run: {' && '.join(offer.install_commands())}")
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
        """Arguments of most calls."""
        raise NotImplementedError

    @pytest.fixture
    def bad_inputs(self, inputs: Inputs) -> list[Inputs]:
        """Arguments that the component must refuse."""
        raise NotImplementedError

    def call(self, component: Any, inputs: Inputs, progress: Progress = silent) -> Any:
        """Call the method of the role."""
        raise NotImplementedError

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """Return why the result does not have the required form, or ''."""
        raise NotImplementedError

    @pytest.fixture
    def result(self, component: Any, inputs: Inputs) -> Any:
        """The result of a call; tests that use it are skipped if its form is wrong."""
        result = self.call(component, copy_of(inputs))
        if misfit := self.misfit(result, inputs):
            pytest.skip(f"the result does not have the required form: {misfit}")
        return result

    def test_license_and_summary_are_one_line(self, offer: Offer) -> None:
        for what, text in (("license", offer.spec.license), ("summary", offer.spec.summary)):
            assert text.strip(), f"its {what} is empty"
            assert len(text.splitlines()) == 1, f"its {what} has several lines: {text!r}"

    def test_options_have_help(self, offer: Offer) -> None:
        fields = attrs.fields(offer.spec.options)
        silent_ones = [field.name for field in fields if not field.metadata.get("help", "").strip()]
        assert not silent_ones, f"declare {', '.join(silent_ones)} with `option(..., help=...)`"

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
        assert same, "it seeds or draws from the global generator of torch; use a torch.Generator"

    def test_rejects_invalid_input(self, component: Any, result: Any, bad_inputs: list[Inputs]) -> None:
        for number, inputs in enumerate(bad_inputs):
            fault = _unlike_refusal(partial(self.call, component, inputs))
            assert not fault, f"bad_inputs[{number}] {fault}; raise one of ex4d_core.errors"

    def test_does_not_leak_tensors(self, component: Any, inputs: Inputs) -> None:
        self.call(component, inputs)
        new_bytes = counter_of_new_tensors()
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
        if left() is not None:  # perhaps in a reference cycle
            gc.collect()
        assert left() is None, "there is still a reference to it, and to everything that it has loaded"


def _unlike_refusal(call: Callable[[], object]) -> str:
    """Return what a call did instead of raising an error of ex4d_core.errors with a message, or ''."""
    try:
        call()
    except Ex4dError as error:
        return "" if str(error).strip() else "is refused without a message"
    except Exception as error:
        return f"raises {one_line(error)}"
    return "is accepted"


class LongWork(ComponentContract):
    """Tests of components that report progress."""

    def test_reports_progress_from_zero_to_total(self, component: Any, inputs: Inputs) -> None:
        calls: list[tuple[int, int]] = []
        self.call(component, inputs, lambda done, total: calls.append((done, total)))
        assert calls, "progress was never called"
        shown = f"(done, total) was {reprlib.repr(calls)}"
        assert calls[0][0] == 0, f"{shown}; start with 0"
        assert calls[-1][0] == calls[-1][1] > 0, f"{shown}; end with the total"
        assert sorted(calls) == calls, f"{shown}; never decrease"
        assert len({total for _, total in calls}) == 1, f"{shown}; do not change the total"

    def test_can_be_cancelled_and_rerun(self, component: Any, inputs: Inputs) -> None:
        def stop(done: int, total: int) -> None:
            raise Cancelled("the user asked to stop")

        check_cancelled(lambda: self.call(component, copy_of(inputs), stop))
        self.call(component, inputs)


def check_cancelled(call: Callable[[], object]) -> None:
    """Fail unless `Cancelled`, raised by `progress`, propagates from the call."""
    try:
        call()
    except Cancelled:
        return
    pytest.fail("it continued although progress raised Cancelled")
