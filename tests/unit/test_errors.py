"""An error that crosses from one process to another stays what it is."""

import json

import pytest
from rmapwatch import errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.RmapwatchError,
        errors.UsageError,
        errors.NotPermittedError,
        errors.NothingAttachedError,
    ],
)
def test_told_and_retold(kind: type[errors.RmapwatchError]) -> None:
    error = errors.retold(json.loads(json.dumps(errors.told(kind("what", "why", "hint")))))
    assert type(error) is kind
    assert (error.what, error.why, error.hint) == ("what", "why", "hint")
