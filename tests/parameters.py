# Which parameters of a test are for `make test`, and which only for `make test-full`.
import pytest


def some(values, always):
    """The parameters `values`, of which `make test` takes those in `always`, `make test-full` all."""
    return [value if value in always else pytest.param(value, marks=pytest.mark.full) for value in values]
