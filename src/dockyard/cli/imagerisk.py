"""``dockyard image inspect --risk``: turns what was seen in an image into a table, JSON or SPDX."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from dockyard.base.aio import now
from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imageview

if TYPE_CHECKING:
    from dockyard.node.image.image import Image
    from dockyard.node.image.risk.finding import Finding, Report
    from dockyard.node.image.store import ImageStore

FORMS = ("text", "json", "spdx")
_DIGEST = 12


def show(store: ImageStore, names: list[str], form: str) -> int:
    """Look at each image and print what it would do."""
    if form == "spdx" and len(names) > 1:
        raise Invalid("image inspect: --output spdx: one image a document")
    reports = [
        (name, image, store.risk(image)) for name in names for image in [store.resolve(name)]
    ]
    if form == "spdx":
        from dockyard.node.image.risk.spdx import document

        [(name, image, report)] = reports
        imageview.print_json(document(image, name, report, _when()))
    elif form == "json":
        imageview.print_json([as_json(image, report) for _, image, report in reports])
    else:
        print(
            "\n\n".join(as_text(_name(name, image), image, each) for name, image, each in reports)
        )
    return 0


def as_json(image: Image, report: Report) -> dict[str, Any]:
    return {
        "Id": image.id,
        "Digest": image.digest,
        "User": report.user,
        "Uid": report.uid,
        "RunsAsRoot": report.root,
        "CapabilitiesWanted": list(report.wanted),
        "ExposedPorts": list(report.ports),
        "Volumes": list(report.volumes),
        "Findings": [
            {"Kind": each.kind, "Path": each.path, "Layer": each.layer, "Detail": each.detail,
             "Hidden": each.hidden}
            for each in report.findings
        ],
        "Distribution": report.distribution._asdict(),
        "Packages": [
            {"Type": each.kind, "Name": each.name, "Version": each.version,
             "Architecture": each.architecture}
            for each in report.packages
        ],
        "Notes": list(report.notes),
    }  # fmt: skip


def as_text(name: str, image: Image, report: Report) -> str:
    """What a person reads before running it."""
    lines = [
        ["Image:", f"{name} ({image.digest})"],
        ["Runs as:", _who(report)],
        ["Capabilities wanted:", ", ".join(report.wanted) or "none"],
        ["Exposed ports:", ", ".join(report.ports) or "none"],
        ["Volumes:", ", ".join(report.volumes) or "none"],
        ["Distribution:", report.distribution.name or report.distribution.id or "unknown"],
        ["Packages:", f"{len(report.packages)} (--output spdx lists them)"
         if report.packages else "no database that is known"],
    ]  # fmt: skip
    lines += [["Not looked at:", note] for note in report.notes]
    width = max(len(head) for head, _ in lines)
    text = "\n".join(f"{head:<{width}} {common.printable(what)}" for head, what in lines)
    if not report.findings:
        return f"{text}\n\nNothing else to remark on."
    rows = [[each.kind, common.printable(each.path), _layer(each), common.printable(each.detail)]
            for each in report.findings]  # fmt: skip
    return f"{text}\n\n{common.table(['KIND', 'PATH', 'LAYER', 'DETAIL'], rows)}"


def _who(report: Report) -> str:
    if report.uid is None:
        return f"{report.user}, who is not in its /etc/passwd: it will not start"
    if not report.user:
        return "root: it sets no USER"
    return f"{report.user} (uid {report.uid}{', root' if report.root else ''})"


def _layer(found: Finding) -> str:
    if ":" not in found.layer:
        return found.layer
    short = found.layer.partition(":")[2][:_DIGEST]
    return f"{short}, hidden above" if found.hidden else short


def _name(given: str, image: Image) -> str:
    """What was given, in full where it is a name."""
    with contextlib.suppress(Invalid):
        if (full := str(parse_reference(given))) in image.names:
            return full
    return image.names[0] if image.names else given


def _when() -> float:
    """SOURCE_DATE_EPOCH (reproducible-builds.org) where it is set."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return now.wall()
    if not text.isdecimal():
        raise Invalid(f"SOURCE_DATE_EPOCH: {text[:40]!r}: seconds since 1970 are expected")
    return float(text)
