"""Status errors: kube-apiserver's words, and the way back from a Status."""

import pytest

from dockyard.base import errors as base
from dockyard.cluster.meta import errors, resourceversion
from dockyard.cluster.meta.objectmeta import generate_name


@pytest.mark.parametrize(
    ("error", "code", "reason", "message"),
    [
        (errors.not_found("pods", "x"), 404, "NotFound", 'pods "x" not found'),
        (
            errors.not_found("deployments", "x", "apps"),
            404,
            "NotFound",
            'deployments.apps "x" not found',
        ),
        (errors.already_exists("pods", "x"), 409, "AlreadyExists", 'pods "x" already exists'),
        (
            errors.conflict("pods", "x"),
            409,
            "Conflict",
            'Operation cannot be fulfilled on pods "x": the object has been modified; please apply '
            "your changes to the latest version and try again",
        ),
        (
            errors.forbidden("pods", "", 'User "u" cannot list resource'),
            403,
            "Forbidden",
            'pods is forbidden: User "u" cannot list resource',
        ),
        (errors.Unauthorized(), 401, "Unauthorized", "Unauthorized"),
        (
            errors.too_old(1, 5),
            410,
            "Expired",
            "too old resource version: 1 (5)",
        ),
        (
            errors.future_revision(9, 5),
            504,
            "Timeout",
            "Too large resource version: 9, current: 5",
        ),
        (
            errors.no_such_path(),
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
    ],
)
def test_words(error: errors.ApiError, code: int, reason: str, message: str) -> None:
    status = error.status()
    assert (status["code"], status["reason"], status["message"]) == (code, reason, message)
    back = errors.from_status(status)
    assert type(back) is type(error)
    assert back.status() == status


def test_they_are_the_houses_errors_too() -> None:
    with pytest.raises(base.NotFound):
        raise errors.not_found("pods", "x")
    with pytest.raises(base.Conflict):
        raise errors.conflict("pods", "x")


def test_a_status_without_a_reason_is_known_by_its_code() -> None:
    assert isinstance(errors.from_status({"code": 404}), errors.NotFound)
    assert isinstance(errors.from_status({}, 418), errors.InternalError)


@pytest.mark.parametrize("text", ["-1", "abc", "1.5", "9" * 30, "٣"])
def test_f17_a_revision_that_is_no_number_is_a_400(text: str) -> None:
    with pytest.raises(errors.BadRequest):
        resourceversion.parse(text)


def test_generated_names() -> None:
    assert generate_name("web-", 0) == "web-bbbbb"
    assert generate_name("x" * 100, 12345)[:58] == "x" * 58
    assert len(generate_name("x" * 100, 12345)) == 63
