"""Build checks: each rule's name, words and line, from docker's reference of build checks."""

import textwrap

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.platform import Platform
from dockyard.node.build.checks.check import Violated, check, refuse
from dockyard.node.build.checks.variables import Known
from dockyard.node.build.checks.warning import RULES, Warning, brief, report
from dockyard.node.build.ignore import parse_ignore
from dockyard.node.build.plan import make_plan

AMD = Platform("linux", "amd64")


def base(word: str) -> ImageConfig | None:
    known = {"alpine": ImageConfig(AMD, env=("PATH=/bin",)),
             "armed": ImageConfig(Platform("linux", "arm64"), env=("PATH=/bin",)),
             "placed": ImageConfig(AMD, working_dir="/app")}  # fmt: skip
    return known.get(word)


def known(**given: str) -> Known:
    return Known(given, AMD, parse_ignore(b"*/tmp/*\nsecret\n", "x"), base)


def found(text: str, **given: str) -> list[Warning]:
    plan = make_plan(textwrap.dedent(text).lstrip("\n").encode(), "Dockerfile")
    return check(plan, known(**given))


CASES = [
    ("From alpine\n", "ConsistentInstructionCasing", 1,
     "Command 'From' should match the case of the command majority (uppercase)"),
    ("from alpine\nrun x\nENTRYPOINT []\n", "ConsistentInstructionCasing", 3,
     "Command 'ENTRYPOINT' should match the case of the command majority (lowercase)"),
    ("FROM alpine\nCOPY secret /\n", "CopyIgnoredFile", 2,
     'Attempting to Copy file "secret" that is excluded by .dockerignore'),
    ("FROM alpine\nADD ./a/tmp/b /\n", "CopyIgnoredFile", 2,
     'Attempting to Add file "a/tmp/b" that is excluded by .dockerignore'),
    ("FROM alpine AS builder\nFROM alpine AS builder\n", "DuplicateStageName", 2,
     'Duplicate stage name "builder", stage names should be unique'),
    ("FROM alpine\nEXPOSE 127.0.0.1:80:80\n", "ExposeInvalidFormat", 2,
     "EXPOSE instruction should not define an IP address or host-port mapping, found "
     "'127.0.0.1:80:80'"),
    ("FROM alpine\nEXPOSE 80/TcP\n", "ExposeProtoCasing", 2,
     "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"),
    ("FROM alpine as b\n", "FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match"),
    ("FROM --platform=linux/amd64 alpine AS base\n", "FromPlatformFlagConstDisallowed", 1,
     'FROM --platform flag should not use constant value "linux/amd64"'),
    ("FROM armed\n", "InvalidBaseImagePlatform", 1,
     'Base image armed was pulled with platform "linux/arm64", expected "linux/amd64" for current '
     "build"),
    ("ARG TAG\nFROM alpine:${TAG}\n", "InvalidDefaultArgInFrom", 2,
     "Default value for ARG alpine:${TAG} results in empty or invalid base image name"),
    ("# check=experimental=all\n# something\nFROM alpine AS base\n", "InvalidDefinitionDescription",
     3, "Comment for FROM should follow the format: `# base <description>`"),
    ("FROM alpine\nENTRYPOINT my-program start\n", "JSONArgsRecommended", 2,
     "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS "
     "signals"),
    ("FROM alpine\nENV DIR /my\n", "LegacyKeyValueFormat", 2,
     '"ENV key=value" should be used instead of legacy "ENV key value" format'),
    ("FROM alpine\nMAINTAINER me@x\n", "MaintainerDeprecated", 2,
     "Maintainer instruction is deprecated in favor of using label"),
    ('FROM alpine\nCMD ["a"]\nCMD ["b"]\n', "MultipleInstructionsDisallowed", 2,
     "Multiple CMD instructions should not be used in the same stage because only the last one "
     "will be used"),
    ("FROM alpine\nEXPOSE \\\n\n80\n", "NoEmptyContinuation", 4, "Empty continuation line"),
    ("FROM --platform=$TARGETPLATFORM alpine AS b\n", "RedundantTargetPlatform", 1,
     "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
     "behavior"),
    ("FROM alpine AS scratch\n", "ReservedStageName", 1,
     'Stage name should not use the same name as reserved stage "scratch"'),
    ("FROM alpine\nARG AWS_SECRET_ACCESS_KEY\n", "SecretsUsedInArgOrEnv", 2,
     'Do not use ARG or ENV instructions for sensitive data (ARG "AWS_SECRET_ACCESS_KEY")'),
    ("FROM alpine AS BuilderBase\n", "StageNameCasing", 1,
     "Stage name 'BuilderBase' should be lowercase"),
    ("FROM alpine${VERSION}\n", "UndefinedArgInFrom", 1, "FROM argument 'VERSION' is not declared"),
    ("FROM alpine\nARG VARIANT=1\nENV A=$VARIAN\n", "UndefinedVar", 3,
     "Usage of undefined variable '$VARIAN' (did you mean $VARIANT?)"),
    ("FROM alpine\nWORKDIR usr/share\n", "WorkdirRelativePath", 2,
     'Relative workdir "usr/share" can have unexpected results if the base image changes'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "line", "words"), CASES)
def test_each_rule(text: str, rule: str, line: int, words: str) -> None:
    assert (rule, words, line) in [(each.rule, each.detail, each.first) for each in found(text)]


def test_all_rules_are_there() -> None:
    assert {rule for _, rule, _, _ in CASES} == set(RULES)
    assert len(RULES) == 22


@pytest.mark.parametrize(
    "text",
    [
        "ARG V=3\nFROM alpine AS base\nARG X=1\nENV A=$X B=${X:-x}\nWORKDIR /a\nWORKDIR b\n"
        'CMD ["x"]\n',
        'FROM alpine\nSHELL ["/bin/bash", "-c"]\nENTRYPOINT x\n',
        "FROM alpine AS one\nENV A=1\nFROM one\nENV B=$A\n",
        "FROM --platform=$BUILDPLATFORM alpine AS one\n"
        "FROM --platform=linux/arm64 scratch AS arm64\n",
        "FROM alpine\nARG PUBLIC_KEY\nENV PATH=$PATH:/x\nARG TARGETARCH\nLABEL a=$TARGETARCH\n",
        "FROM alpine\n# any comment\nARG X\nCOPY other /\nEXPOSE 80/tcp 443\n",
        "# check=skip=JSONArgsRecommended,StageNameCasing\nFROM alpine AS Up\nCMD x\n",
    ],
)
def test_what_is_right_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_the_directive() -> None:
    text = "# check=error=true\nFROM alpine\nCMD x\n"
    plan = make_plan(text.encode(), "Dockerfile")
    with pytest.raises(Violated, match="lint violation found for rules: JSONArgsRecommended"):
        refuse(plan, known(), check(plan, known()))
    assert found(text, BUILDKIT_DOCKERFILE_CHECK="skip=all") == []
    with pytest.raises(Invalid, match="skip=, error= or experimental="):
        found("# check=what\nFROM alpine\n")


def test_what_is_printed() -> None:
    plan = make_plan(b"FROM alpine\nCMD x\n", "Dockerfile")
    warnings = check(plan, known())
    url = "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    detail = (
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"
    )
    assert report(warnings, plan.dockerfile.source) == (
        f"Check complete, 1 warning has been found!\n\nWARNING: JSONArgsRecommended - {url}\n"
        f"{detail}\n\nDockerfile:2\n--------------------\n   1 |     FROM alpine\n"
        "   2 | >>> CMD x\n   3 |\n--------------------"
    )
    assert report([], plan.dockerfile.source) == "Check complete, no warnings found."
    assert f" - JSONArgsRecommended: {detail} (line 2)" in brief(warnings)
