"""Turns a report into an SPDX 2.3 document (spdx.github.io/spdx-spec/v2.3), as JSON."""

import hashlib
import re
from typing import Any
from urllib.parse import quote

from dockyard.base.aio import now
from dockyard.base.version import VERSION
from dockyard.node.image.image import Image
from dockyard.node.image.risk.finding import Package, Report

NOTHING = "NOASSERTION"
_IMAGE = "SPDXRef-Image"
_NO_ID = re.compile(r"[^A-Za-z0-9.-]+")


def document(image: Image, name: str, report: Report, seconds: float) -> dict[str, Any]:
    """``name``: the image's, as the user gave it. ``seconds``: when the document is made."""
    listed = [_package(package, number, report) for number, package in enumerate(report.packages)]
    whole = {
        "SPDXID": _IMAGE,
        "name": name,
        "versionInfo": image.digest,
        "downloadLocation": NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": image.digest.algorithm.upper(),
                       "checksumValue": image.digest.hex}],
    }  # fmt: skip
    described = {
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": _IMAGE,
    }
    contained = [
        {"spdxElementId": _IMAGE, "relationshipType": "CONTAINS",
         "relatedSpdxElement": package["SPDXID"]}
        for package in listed
    ]  # fmt: skip
    stamp = now.stamp(seconds)
    unique = hashlib.sha256(f"{image.digest} {name} {stamp}".encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://dockyard.invalid/spdx/{image.digest.hex}/{unique[:32]}",
        "creationInfo": {"created": stamp, "creators": [f"Tool: dockyard-{VERSION}"]},
        "packages": [whole, *listed],
        "relationships": [described, *contained],
    }


def _package(package: Package, number: int, report: Report) -> dict[str, Any]:
    found = {
        "SPDXID": f"SPDXRef-Package-{number}-{_NO_ID.sub('-', package.name)[:80]}",
        "name": package.name,
        "versionInfo": package.version,
        "supplier": _supplier(package.supplier),
        "downloadLocation": NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl(package, report),
            }
        ],
    }
    if package.license:
        found["licenseComments"] = f"The package says: {package.license}"
    if package.source:
        found["sourceInfo"] = f"built from {package.source}"
    return found


def purl(package: Package, report: Report) -> str:
    """``pkg:deb/debian/bash@5.2.15-2?arch=amd64&distro=debian-12`` (the purl specification)."""
    system = report.distribution
    space = quote(system.id, safe="-._~") or {"deb": "debian", "apk": "alpine"}.get(
        package.kind, "unknown"
    )
    name, version = quote(package.name, safe="-._~"), quote(package.version, safe="-._~:")
    qualifiers = [f"arch={quote(package.architecture, safe='')}"] if package.architecture else []
    if system.id and system.version:
        qualifiers.append(f"distro={quote(f'{system.id}-{system.version}', safe='-._~')}")
    tail = "?" + "&".join(qualifiers) if qualifiers else ""
    return f"pkg:{package.kind}/{space}/{name}@{version}{tail}"


def _supplier(text: str) -> str:
    """``Organization: Debian ... (mail)``: SPDX wants a mail address in round brackets."""
    plain = " ".join(text.split())
    if not plain:
        return NOTHING
    name, _, mail = plain.partition("<")
    shown = f"{name.strip()} ({mail.rstrip('>').strip()})" if mail else name.strip()
    return f"Organization: {shown}"
