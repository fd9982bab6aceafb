"""Turns ``dockyard build --call METHOD`` into what a Dockerfile says about itself."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockyard.base.oci.platform import Platform
    from dockyard.cli.buildflags import Call
    from dockyard.node.build.checks.variables import Known
    from dockyard.node.build.outline import Need
    from dockyard.node.build.plan import Plan

_METHODS = (
    ("outline", "the arguments, secrets and agents of one target"),
    ("targets", "the targets of a Dockerfile"),
    ("lint", "what is questionable in a Dockerfile"),
    ("subrequests.describe", "these methods"),
)
_VERSION = "1.0.0"


def run(call: Call, plan: Plan, target: str, known: Known, platform: Platform) -> int:
    """Exit code: 1 where ``check`` has something to say, as docker has it."""
    if call.name == "check":
        return _check(call, plan, target, known)
    if call.name == "targets":
        _targets(call, plan)
    elif call.name == "outline":
        _outline(call, plan, target, known, platform)
    elif call.json:
        _print_json([{"name": f"frontend.{name}", "version": _VERSION, "type": "rpc",
                      "description": text} for name, text in _METHODS])  # fmt: skip
    else:
        rows = [(name, _VERSION, text) for name, text in _METHODS]
        _print_table([("NAME", "VERSION", "DESCRIPTION"), *rows], 1)
    return 0


def _check(call: Call, plan: Plan, target: str, known: Known) -> int:
    from dockyard.node.build.checks.check import check
    from dockyard.node.build.checks.warning import report

    found = check(plan, known, target)
    if call.json:
        _print_json({
            "warnings": [
                {"ruleName": each.rule, "url": each.url, "detail": each.detail,
                 "location": _lines(each.first, each.last)}
                for each in found
            ],
            "sources": [{"filename": plan.dockerfile.source.name, "language": "Dockerfile",
                         "data": _source(plan)}],
        })  # fmt: skip
    else:
        print(report(found, plan.dockerfile.source))
    return 1 if found and not call.ignores_status else 0


def _targets(call: Call, plan: Plan) -> None:
    from dockyard.node.build.outline import targets

    found = targets(plan)
    if call.json:
        listed = [
            _kept(name=each.name, default=each.default, description=each.description,
                  base=each.base, platform=each.platform,
                  location=_lines(each.line.number, each.line.last))
            for each in found
        ]  # fmt: skip
        _print_json({"targets": listed, "sources": [_source(plan)]})
        return
    rows = [("TARGET", "DESCRIPTION")]
    for each in found:
        mark = " (default)" if each.default else ""
        rows.append(((each.name + mark).strip(), each.description))
    _print_table(rows, 1)


def _outline(call: Call, plan: Plan, target: str, known: Known, platform: Platform) -> None:
    from dockyard.node.build.outline import outline

    found = outline(plan, plan.target(target), known.given, platform)
    if call.json:
        _print_json(_kept(
            name=found.name,
            description=found.description,
            args=[_kept(name=each.name, description=each.description, value=each.value,
                        location=_lines(each.line.number, each.line.last))
                  for each in found.arguments],
            secrets=[_need(each) for each in found.secrets],
            ssh=[_need(each) for each in found.agents],
            sources=[_source(plan)],
        ))  # fmt: skip
        return
    if found.name or found.description:
        rows = [("TARGET:", found.name or "(default)")]
        rows += [("DESCRIPTION:", found.description)] if found.description else []
        _print_table(rows, 1)
        print()
    if found.arguments:
        rows3 = [(each.name, each.value, each.description) for each in found.arguments]
        _print_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows3], 3)
        print()
    for title, needs in (("SECRET", found.secrets), ("SSH", found.agents)):
        if needs:
            rows = [(each.name, "true" if each.required else "") for each in needs]
            _print_table([(title, "REQUIRED"), *rows], 3)
            print()


def _need(need: Need) -> dict[str, Any]:
    return _kept(name=need.name, required=need.required,
                 location=_lines(need.line.number, need.line.last))  # fmt: skip


def _kept(**members: Any) -> dict[str, Any]:
    """Without empty members."""
    return {name: value for name, value in members.items() if value}


def _lines(first: int, last: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": first}, "end": {"line": last}}]}


def _source(plan: Plan) -> str:
    return base64.b64encode("\n".join(plan.dockerfile.source.lines).encode()).decode()


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2))


def _print_table(rows: Sequence[tuple[str, ...]], gap: int) -> None:
    from dockyard.cli.common import printable

    shown = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) + gap for column in zip(*shown, strict=True)]
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        print("".join([*cells, row[-1]]))
