"""Which backend is taken, and what is said of it."""

import pytest
from rmapwatch import errors
from rmapwatch.probes import backend, session
from rmapwatch.probes.backend import Backend
from rmapwatch.probes.ftrace import session as ftrace

NO_BCC = errors.NothingAttachedError("it cannot be compiled", "no bcc", "apt-get install bcc")
NO_TRACEFS = errors.NothingAttachedError("nothing", "no tracefs", "mount")
REQUEST = session.Request()


def started(monkeypatch, choice: Backend, bcc: object, by_events: object) -> tuple[object, list]:
    said: list[str] = []
    for module, answer in ((session, bcc), (ftrace, by_events)):

        def start(request: session.Request, answer: object = answer) -> object:
            assert request is REQUEST
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(module, "start", start)
    return backend.start(REQUEST, choice, said.append), said


def test_bcc_is_preferred(monkeypatch) -> None:
    assert started(monkeypatch, Backend.AUTO, "bcc", "ftrace") == ("bcc", [])


def test_ftrace_stands_in_and_that_is_said(monkeypatch) -> None:
    attached, said = started(monkeypatch, Backend.AUTO, NO_BCC, "ftrace")
    assert attached == "ftrace"
    assert said == ["by ftrace, since bcc attaches nothing: it cannot be compiled: no bcc"]


def test_where_neither_can_the_better_ones_hint_is_given(monkeypatch) -> None:
    with pytest.raises(errors.NothingAttachedError) as refused:
        started(monkeypatch, Backend.AUTO, NO_BCC, NO_TRACEFS)
    assert refused.value is NO_BCC


def test_what_was_asked_for_alone_is_tried(monkeypatch) -> None:
    with pytest.raises(errors.NothingAttachedError) as refused:
        started(monkeypatch, Backend.BCC, NO_BCC, "ftrace")
    assert refused.value is NO_BCC
    assert started(monkeypatch, Backend.FTRACE, "bcc", "ftrace") == ("ftrace", [])


def test_without_permission_nothing_else_is_tried(monkeypatch) -> None:
    denied = errors.NotPermittedError("no", "this needs root")
    with pytest.raises(errors.NotPermittedError):
        started(monkeypatch, Backend.AUTO, denied, "ftrace")
