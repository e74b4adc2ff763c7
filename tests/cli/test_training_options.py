"""What the options of training say of the budget."""

from __future__ import annotations

import argparse

import pytest

from spd_bench.cli.options import add_training_options, budget_of
from spd_bench.errors import InputError
from spd_bench.training.settings import Budget


def parsed(*arguments: str) -> Budget:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_training_options(parser)
    return budget_of(parser.parse_args(arguments))


def test_the_batch_is_a_number_or_chosen_by_memory() -> None:
    assert parsed() == Budget()
    assert parsed("--batch-size", "4").batch_size == 4
    automatic = parsed("--batch-size", "auto", "--iterations", "30")
    assert automatic == Budget(iterations_per_epoch=30, batch_size=8, automatic_batch_size=True)
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        parsed("--batch-size", "0")
    with pytest.raises(argparse.ArgumentError, match="'many' is neither a number nor auto"):
        parsed("--batch-size", "many")


def test_the_number_of_loading_processes_is_the_users_to_choose() -> None:
    assert parsed().workers is None
    assert parsed("--workers", "2").workers == 2
    with pytest.raises(InputError, match="workers must not be negative, got -1"):
        parsed("--workers", "-1")


def test_gradient_checkpointing_is_a_switch() -> None:
    assert not parsed().gradient_checkpointing
    assert parsed("--gradient-checkpointing").gradient_checkpointing
