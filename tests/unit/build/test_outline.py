"""``--call``: buildx' documented output, and what BuildKit's frontend counts as a target's."""

import json
import textwrap

import pytest

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.oci.platform import Platform
from dockyard.cli import buildcalls, buildflags
from dockyard.node.build.annotate import Annotation, of, parse
from dockyard.node.build.checks.variables import Known
from dockyard.node.build.ignore import NOTHING
from dockyard.node.build.outline import outline, targets
from dockyard.node.build.ownargs import wishes
from dockyard.node.build.plan import Plan, make_plan

AMD = Platform("linux", "amd64")
DOCUMENTED = """\
# GO_VERSION sets the Go version for the build
ARG GO_VERSION=1.22

# base-builder is the base stage for building the project
FROM golang:${GO_VERSION} AS base-builder
"""
SEVERAL = """\
ARG UNUSED=1
ARG TAG=3
ARG BASE=alpine:$TAG
# no description
FROM $BASE AS Base
# OWN what it is
ARG OWN=${TAG:-none}
ARG TARGETARCH
RUN --mount=type=secret,id=tok,required --mount=type=ssh x

FROM scratch AS apart
ARG APART

FROM base
ARG OWN=2 LATE
RUN --mount=type=secret,id=env,env=E x
"""


def plan(text: str) -> Plan:
    return make_plan(textwrap.dedent(text).encode(), "Dockerfile")


def called(capsys: pytest.CaptureFixture[str], word: str, text: str, target: str = "") -> str:
    words = buildflags.parser().parse_args(["--call", word, "."])
    known = Known({}, AMD, NOTHING, lambda _: None)
    assert buildcalls.run(buildflags.call(words), plan(text), target, known, AMD) == 0
    return capsys.readouterr().out


def test_the_documented_outline(capsys: pytest.CaptureFixture[str]) -> None:
    assert called(capsys, "outline", DOCUMENTED) == (
        "TARGET:      base-builder\n"
        "DESCRIPTION: is the base stage for building the project\n\n"
        "BUILD ARG    VALUE   DESCRIPTION\n"
        "GO_VERSION   1.22    sets the Go version for the build\n\n"
    )


def test_what_a_target_takes() -> None:
    found = outline(plan(SEVERAL), plan(SEVERAL).target(""), {"LATE": "given"}, AMD)
    assert [(each.name, each.value) for each in found.arguments] == [
        ("TAG", "3"), ("BASE", "alpine:3"), ("OWN", "none"), ("LATE", "given"),
    ]  # fmt: skip
    assert found.arguments[2].description == "what it is"
    assert [(each.name, each.required) for each in found.secrets] == [("tok", True), ("env", False)]
    assert [(each.name, each.required) for each in found.agents] == [("default", False)]
    apart = outline(plan(SEVERAL), plan(SEVERAL).target("apart"), {}, AMD)
    assert [each.name for each in apart.arguments] == ["APART"]
    assert (apart.secrets, apart.agents) == ((), ())


def test_targets(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [(each.name, each.default, each.base) for each in targets(plan(SEVERAL))]
    assert shown == [("Base", False, "$BASE"), ("apart", False, "scratch"), ("", True, "base")]
    assert called(capsys, "targets", DOCUMENTED) == (
        "TARGET                 DESCRIPTION\n"
        "base-builder (default) is the base stage for building the project\n"
    )
    assert called(capsys, "targets", "FROM scratch\n").splitlines()[1].startswith("(default)")


def test_documents_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(called(capsys, "targets,format=json", SEVERAL))
    assert [each.get("name", "") for each in found["targets"]] == ["Base", "apart", ""]
    assert found["targets"][1]["location"] == {
        "ranges": [{"start": {"line": 11}, "end": {"line": 11}}]
    }
    found = json.loads(called(capsys, "outline,format=json", SEVERAL))
    assert {each["name"] for each in found["args"]} == {"TAG", "BASE", "OWN", "LATE"}
    word = "check,format=json,ignorestatus=true"
    found = json.loads(called(capsys, word, "FROM scratch\nMAINTAINER me\n"))
    assert [each["ruleName"] for each in found["warnings"]] == ["MaintainerDeprecated"]
    names = called(capsys, "subrequests.describe", DOCUMENTED).splitlines()
    assert names[0].split() == ["NAME", "VERSION", "DESCRIPTION"]
    assert [line.split()[:2] for line in names[1:3]] == [["outline", "1.0.0"], ["targets", "1.0.0"]]


@pytest.mark.parametrize("word", ["what", "outline,targets", "outline,format=xml", "check,x=y"])
def test_calls_that_are_none(word: str) -> None:
    with pytest.raises(Invalid, match="--call"):
        buildflags.call(buildflags.parser().parse_args(["--call", word, "."]))


def test_annotations() -> None:
    arm = Platform("linux", "arm64")
    found = parse(["a=1", "index,manifest[linux/arm64]:b=2=3", "a=4"])
    assert found[0] == Annotation("manifest", None, "a", "1")
    assert of(found, "manifest", AMD) == (("a", "4"),)
    assert of(found, "manifest", arm) == (("a", "4"), ("b", "2=3"))
    assert of(found, "index") == (("b", "2=3"),)
    for word in ("none", "manifest[a*]:b=1", "other:b=1"):
        with pytest.raises(Invalid, match="annotation"):
            parse([word])


def test_arguments_of_the_builder_itself() -> None:
    found = wishes(
        {
            "BUILDKIT_INLINE_CACHE": "T",
            "BUILDKIT_ATTEST_SBOM": "",
            "BUILDKIT_MULTI_PLATFORM": "0",
            "BUILDKIT_SYNTAX": "dockerfile.v0",
            "OTHER": "x",
        }
    )
    assert (found.inline_cache, found.is_index, found.any_syntax) == (True, False, True)
    assert found.attestations == (("sbom", ""),)
    assert found.hostname == "buildkitsandbox"
    for name, value, kind in (
        ("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "yes", Invalid),
        ("BUILDKIT_SANDBOX_HOSTNAME", "x" * 65, Invalid),
        ("BUILDKIT_SANDBOX_HOSTNAME", "-x", Invalid),
        ("BUILDKIT_SYNTAX", "evil/frontend", Unsupported),
        ("BUILDKIT_DISABLE_FILEOP", "1", Unsupported),
    ):
        with pytest.raises(kind, match=name):
            wishes({name: value})
