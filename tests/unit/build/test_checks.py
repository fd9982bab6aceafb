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
    ("from alpine\ncmd sh\n", "JSONArgsRecommended", 2,
     "JSON arguments recommended for cmd to prevent unintended behavior related to OS signals"),
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


PUBLISHED = [
    # docker's own cases of these rules: text, and the rule and line of each warning
    ("FROM scratch\nWORKDIR app/\n", [("WorkdirRelativePath", 2)]),
    ("FROM scratch AS a\nWORKDIR /app\n\nFROM a AS b\nWORKDIR subdir/\n", []),
    ("FROM scratch\n# check=skip=WorkdirRelativePath\nWORKDIR app/\n", []),
    ("FROM placed\nWORKDIR x\n", [("WorkdirRelativePath", 2)]),
    ("From scratch as base\nFROM scratch AS base2\n", [("ConsistentInstructionCasing", 1)]),
    ("FROM scratch\ncopy Dockerfile /foo\nCOPY Dockerfile /bar\n",
     [("ConsistentInstructionCasing", 2)]),
    ("#check=skip=all\nFROM scratch as base\ncopy Dockerfile .\n", []),
    ("#check=skip=ConsistentInstructionCasing,FromAsCasing\nFROM scratch as base\ncopy D .\n", []),
    ("#check=skip=ConsistentInstructionCasing\nFROM scratch as base\ncopy D .\n",
     [("FromAsCasing", 2)]),
    ("FROM scratch\n# warning: empty continuation line\nCOPY Dockerfile \\\n\n.\nCOPY Dockerfile "
     "\\\n.\n", [("NoEmptyContinuation", 5)]),
    ('FROM scratch\nENTRYPOINT ["/a"]\nENTRYPOINT ["/b"]\nCMD ["/a"]\nCMD ["/b"]\n'
     'HEALTHCHECK CMD ["/a"]\nHEALTHCHECK CMD ["/b"]\n',
     [("MultipleInstructionsDisallowed", 2), ("MultipleInstructionsDisallowed", 4),
      ("MultipleInstructionsDisallowed", 6)]),
    ('FROM scratch AS a\nCMD ["/a"]\n\nFROM a AS b\nCMD ["/b"]\n', []),
    ("FROM scratch\nENV testkey value\nLABEL key value\n",
     [("LegacyKeyValueFormat", 2), ("LegacyKeyValueFormat", 3)]),
    ("FROM scratch\nARG foo\nCOPY Dockerfile${foo} .\n", []),
    ("FROM alpine AS base\nARG foo=Dockerfile\n\nFROM base\nCOPY $foo .\n", []),
    ("FROM alpine\nRUN echo $PATH\n", []),
    ("FROM alpine\nCOPY $foo .\nARG foo=bar\nRUN echo $foo\n", [("UndefinedVar", 2)]),
    ("FROM alpine\nENV PATH=$PAHT:/tmp/bin\n", [("UndefinedVar", 2)]),
    ("# check=skip=all;experimental=InvalidDefinitionDescription\n# foo this is the foo\n"
     "ARG foo=bar\n\n# base this is the base image\nFROM scratch AS base\n\n# baz this is the baz\n"
     "ARG foo=baz bar=qux baz=quux\n#\nARG bit=bat\n\n# of no concern\nCOPY Dockerfile .\n", []),
    ("# check=experimental=InvalidDefinitionDescription\n# bar this is the bar\nARG foo=bar\n"
     "# BasE this is the BasE image\nFROM scratch AS base\n# a bad comment\nARG version=latest\n",
     [("InvalidDefinitionDescription", 3), ("InvalidDefinitionDescription", 5),
      ("InvalidDefinitionDescription", 7)]),
    ("ARG DEBUG\nFROM scra${DEBUG:-tch}\n", []),
    ("FROM scratch\nARG TOKEN_FILE\nARG KEY_VERSION\nENV PUBLIC_KEY=1\n", []),
    ("ARG SECRET=1\nFROM scratch\n", []),
    ("FROM --platform=linux/amd64 scratch AS linux_base\n", []),
    ("FROM scratch AS a\nSHELL [\"/s\"]\nFROM a\nCMD x\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), PUBLISHED)
def test_cases_of_the_frontend(text: str, wanted: list[tuple[str, int]]) -> None:
    assert [(each.rule, each.first) for each in found(text)] == wanted


def test_a_mistaken_name_gets_the_nearest() -> None:
    """At most two letters away, as the frontend has it."""
    text = "FROM alpine\nARG DIR_ASSETS=assets/\nARG DIR_BINARIES=b\nCOPY $DIR_ASSET .\n"
    detail = "Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"
    assert [each.detail for each in found(text)] == [detail]
    far = "FROM alpine\nARG DIR_ASSETS=assets/\nCOPY $DIR_ASS .\n"
    assert [each.detail for each in found(far)] == ["Usage of undefined variable '$DIR_ASS'"]


def test_stages_that_are_not_built_are_not_looked_at_in_a_build() -> None:
    """Nor with a target; `--check` without one looks at all."""
    text = "FROM scratch AS a\nENV k v\nFROM scratch AS b\nLABEL k v\n"
    plan = make_plan(text.encode(), "Dockerfile")
    for target, whole, lines in (("", True, [2, 4]), ("a", True, [2]), ("", False, [4])):
        warnings = check(plan, known(), target, whole=whole)
        assert [each.first for each in warnings] == lines


@pytest.mark.parametrize(
    ("ignore", "source", "hidden"),
    [
        ("tmp\n", "./tmp/f", True),
        ("*\n", ".", True),
        ("**/*\n", "/", True),
        ("tmp\n", ".", False),
        ("tmp\n!tmp/f\n", "tmp/f", False),  # what is taken back is not judged
        ("tmp\n", "https://host/tmp", False),
    ],
)
def test_copies_of_what_is_ignored(ignore: str, source: str, hidden: bool) -> None:
    plan = make_plan(f"FROM scratch\nADD {source} /x\n".encode(), "Dockerfile")
    around = known()._replace(ignore=parse_ignore(ignore.encode(), "x"))
    assert bool(check(plan, around)) == hidden
