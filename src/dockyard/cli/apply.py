"""``dockyard apply``: what manifests describe is made, or changed to what they say."""

from __future__ import annotations

import json
import sys
from typing import Any

from dockyard.base.errors import Invalid, NotFound
from dockyard.cli import cluster, common, manifests, objectview
from dockyard.cli.cluster import Session
from dockyard.cli.manifests import Described
from dockyard.cluster.client.catalog import Entry
from dockyard.cluster.client.transport import MERGE_PATCH, Object, Request
from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta import errors, threeway
from dockyard.cluster.meta.jsonvalues import copied
from dockyard.cluster.meta.patchschema import PatchSchema

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


EXAMPLES = """  dockyard apply -f k8s/
  dockyard apply -f web.yaml -n shop
  dockyard build -t web . && sed s/TAG/web/ k8s.yaml | dockyard apply -f -
"""
LAST = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl's own annotation: either program goes on where the other was."""
TRIES = 5
VALIDATE = {"strict": "Strict", "true": "Strict", "warn": "Warn", "ignore": "Ignore",
            "false": "Ignore"}  # fmt: skip


def run(argv: list[str]) -> int:
    """Apply each object; exit code 1 if one was refused."""
    parser = common.Parser("apply", "-f FILE|DIR|- [OPTIONS]",
                           "Create or change what manifests describe.", EXAMPLES)  # fmt: skip
    parser.many("-f", "--filename", metavar="FILE", help="a file, a directory, or - for input")
    parser.flag("-R", "--recursive", help="directories below, too")
    add = parser.add_argument
    add("--dry-run", default="none", choices=("none", "client", "server"), help="change nothing")
    add("--validate", default="strict", choices=tuple(VALIDATE), help="what unknown fields are")
    add("-o", "--output", default="", metavar="FORM", help="json, yaml, name or jsonpath=TEMPLATE")
    parser.refuse(["--server-side", "--force-conflicts", "--prune"], nargs=0)
    cluster.add_flags(parser)
    options = parser.parse_args(argv)
    if not options.filename:
        parser.error("must specify -f")
    if options.output == "wide":
        parser.error("-o wide: is for tables; json, yaml, name or jsonpath=TEMPLATE")

    async def work(session: Session) -> int:
        described = manifests.read(options.filename, recursive=options.recursive)
        codes = [await _Apply(session, options).one(each) for each in described]
        return max(codes)

    return cluster.run(options, work)


class _Apply:
    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session, self._options = session, options
        self._query = {"fieldValidation": VALIDATE[options.validate]}
        if options.dry_run == "server":
            self._query["dryRun"] = "All"

    async def one(self, described: Described) -> int:
        """Apply one object and say what became of it."""
        doing = ""
        try:
            entry = await self._entry(described)
            namespace = self._namespace(entry, described)
            obj = _with_last(described.obj, namespace)
            doing = f'error when retrieving current configuration of "{described.source}": '
            there = await self._current(entry, obj["metadata"]["name"], namespace)
            if there is None:
                doing = f'error when creating "{described.source}": '
                done, found = "created", await self._create(entry, obj, namespace)
            else:
                doing = f'error when applying patch for "{described.source}": '
                done, found = await self._change(entry, obj, there)
        except errors.ApiError as error:
            cluster.fail(cluster.told(error, doing))
            return cluster.FAILED
        except (NotFound, Invalid) as error:
            cluster.fail(f'error: resource mapping of "{described.source}": {error}'
                         if isinstance(error, NotFound) else f"error: {error}")  # fmt: skip
            return cluster.FAILED
        self._print(entry, done, found)
        return 0

    async def _entry(self, described: Described) -> Entry:
        names = described.obj["apiVersion"], described.obj["kind"]
        try:
            return (await self._session.catalog()).of_kind(*names)
        except NotFound:  # perhaps a manifest before this one has brought the kind
            return (await self._session.catalog(fresh=True)).of_kind(*names)

    def _namespace(self, entry: Entry, described: Described) -> str:
        if not entry.namespaced:
            return ""
        own, asked = described.obj["metadata"].get("namespace", ""), self._options.namespace
        if own and asked and own != asked:
            raise Invalid(f'the namespace from the provided object "{own}" does not match the '
                          f'namespace "{asked}". You must pass \'--namespace={own}\' to perform '
                          "this operation.")  # fmt: skip
        return str(own or self._session.namespace)

    async def _current(self, entry: Entry, name: str, namespace: str) -> Object | None:
        try:
            return await self._session.client.get(entry.resource, name, namespace)
        except errors.NotFound:
            return None

    async def _create(self, entry: Entry, obj: Object, namespace: str) -> Object:
        if self._options.dry_run == "client":
            return obj
        request = Request("create", entry.resource, namespace, body=obj, options=self._query)
        return await self._session.client.transport.call(request)

    async def _change(self, entry: Entry, obj: dict[str, Any], there: Object) -> tuple[str, Object]:
        """A merge patch from what is there to what shall be; tried again on a newer version."""
        name, namespace = obj["metadata"]["name"], there["metadata"].get("namespace", "")
        if LAST not in (there["metadata"].get("annotations") or {}):
            cluster.warn(
                f"resource {entry.resource.plural}/{name} is missing the {LAST} annotation which "
                "is required by apply. It will be patched automatically."
            )
        for left in reversed(range(TRIES)):
            patch = _patch(obj, there)
            if not patch:
                return "unchanged", there
            if self._options.dry_run == "client":
                return "configured", there
            patch.setdefault("metadata", {})
            patch["metadata"]["resourceVersion"] = resource_version(there)
            request = Request("patch", entry.resource, namespace, name, body=patch,
                              patch_type=MERGE_PATCH, options=self._query)  # fmt: skip
            try:
                found = await self._session.client.transport.call(request)
            except errors.Conflict:
                if not left:
                    raise
                there = await self._session.client.get(entry.resource, name, namespace)
                continue
            same = resource_version(found) == resource_version(there)
            return "unchanged" if same else "configured", found
        raise AssertionError("unreachable")

    def _print(self, entry: Entry, done: str, obj: Object) -> None:
        show = objectview.printer(self._options.output)
        if show is not None:
            sys.stdout.write(show(entry, objectview.bare(entry, obj)))
            return
        mode = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
        print(f"{entry.qualified}/{obj['metadata']['name']} {done}{mode[self._options.dry_run]}")


def resource_version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def _patch(obj: dict[str, Any], there: Object) -> dict[str, Any]:
    """What has to change for the manifest to be true; nothing of what others have set."""
    said = (there["metadata"].get("annotations") or {}).get(LAST, "{}")
    try:
        before = json.loads(said)
    except (ValueError, RecursionError):
        before = {}
    if not isinstance(before, dict):  # anybody may have written it
        before = {}
    kind = registry().kind(obj["apiVersion"], obj["kind"])
    schema = PatchSchema.of(registry().schemas, kind.definition) if kind else None
    now = {name: value for name, value in obj.items() if name != "status"}
    before = {name: value for name, value in before.items() if name != "status"}
    return threeway.difference(there, threeway.merge(before, now, there, schema))


def _with_last(obj: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The object with its own text in an annotation, as kubectl writes it."""
    found: dict[str, Any] = copied(obj)
    metadata = found["metadata"]
    if namespace:
        metadata["namespace"] = namespace
    annotations = metadata["annotations"] = dict(metadata.get("annotations") or {})
    annotations.pop(LAST, None)
    annotations[LAST] = objectview.to_json(found) + "\n"
    return found
