"""What a kubelet is asked for: PodLogOptions and PodExecOptions, as kube-apiserver passes them."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from dockyard.cluster.api.podoptions import for_kubelet
from dockyard.cluster.meta import errors


@pytest.mark.parametrize(
    ("subresource", "query", "asked"),
    [
        ("log", "container=c&follow=true&tailLines=5", "follow=true&tailLines=5"),
        ("log", "follow=1&previous=0&timestamps=false", "follow=true"),
        ("log", "sinceSeconds=60&limitBytes=1", "sinceSeconds=60&limitBytes=1"),
        ("log", "tailLines=0&insecureSkipTLSVerifyBackend=true", "tailLines=0"),
        ("exec", "command=a&command=b c&container=c&stdout=true&stderr=1&stdin=false",
         "command=a&command=b c&output=1&error=1"),
        ("attach", "stdin=true&tty=true", "input=1&tty=1"),
        ("portforward", "ports=80&ports=81", "ports=80&ports=81"),
    ],
)  # fmt: skip
def test_the_kubelets_words(subresource: str, query: str, asked: str) -> None:
    assert for_kubelet(subresource, parse_qsl(query), "web") == parse_qsl(asked)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", "at most one of `sinceTime`"),
    ],
)
def test_options_that_break_a_rule(query: str, told: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        for_kubelet("log", parse_qsl(query), "web")
    assert told in str(caught.value)
    assert 'PodLogOptions "web" is invalid' in str(caught.value)


@pytest.mark.parametrize("text", ["many", "1.5", "9" * 100, "--1"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(errors.BadRequest):
        for_kubelet("log", [("tailLines", text)], "web")
