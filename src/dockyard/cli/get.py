"""``dockyard get``: objects of the cluster, as the server's tables or whole."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.cli import cluster, common, objectview
from dockyard.cli.cluster import Session
from dockyard.cluster.client.catalog import Entry
from dockyard.cluster.client.transport import Object, Request
from dockyard.cluster.meta.errors import ApiError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


EXAMPLES = """  dockyard get pods                       # of the namespace `default`
  dockyard get deploy,svc -A -o wide
  dockyard get pod web-0 -n shop -o yaml
  dockyard get pods -l app=web -o jsonpath='{.items[*].status.podIP}'
  dockyard get pods -w
"""
Print = Callable[[Entry, Object], str]


class Wanted(NamedTuple):
    """One kind, all of it or some by name."""

    entry: Entry
    names: tuple[str, ...]


def run(argv: list[str]) -> int:
    """Print them; exit code 1 where one was refused or is missing."""
    parser = common.Parser(
        "get", "RESOURCE[,...] [NAME...] [OPTIONS]",
        "List objects of the cluster, or show some by name.", EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("what", nargs="+", metavar="RESOURCE", help="pods, deploy/web, deployments.apps, all")
    parser.flag("-A", "--all-namespaces", help="in every namespace")
    add("-o", "--output", default="", metavar="FORM", help=objectview.FORMS)
    add("-l", "--selector", default="", metavar="LABELS", help="only with these labels")
    add("--field-selector", default="", metavar="FIELDS", help="only with these fields")
    parser.flag("-w", "--watch", help="go on with what changes")
    parser.flag("--watch-only", help="only what changes from now on")
    parser.flag("--no-headers", help="without the line of headings")
    parser.flag("--show-labels", help="labels as the last column")
    parser.flag("--ignore-not-found", help="what is missing is no failure")
    cluster.add_flags(parser)
    options = parser.parse_intermixed_args(argv)
    return cluster.run(options, lambda session: _Get(session, options).run())


class _Get:
    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session, self._options = session, options
        self._show: Print | None = objectview.printer(options.output)
        self._failed = False
        self._query = {name: value for name, value in (
            ("labelSelector", options.selector), ("fieldSelector", options.field_selector),
        ) if value}  # fmt: skip

    async def run(self) -> int:
        wanted = await self._wanted()
        if self._options.watch or self._options.watch_only:
            return await self._watch(wanted)
        if self._show is not None:
            await self._objects(wanted, self._show)
        else:
            await self._tables(wanted)
        return cluster.FAILED if self._failed else 0

    async def _wanted(self) -> list[Wanted]:
        words, catalog = self._options.what, await self._session.catalog()
        if any("/" in word for word in words):
            found: dict[Entry, list[str]] = {}
            for word in words:
                kind, _, name = word.partition("/")
                if "/" in name:
                    raise Invalid("arguments in resource/name form may not have more than one "
                                  "slash")  # fmt: skip
                if not name:
                    raise Invalid("there is no need to specify a resource type as a separate "
                                  "argument when passing arguments in resource/name form (e.g. "
                                  "'kubectl get resource/<resource_name>' instead of 'kubectl get "
                                  "resource resource/<resource_name>'")  # fmt: skip
                if not kind:
                    raise Invalid(f"{word!r}: arguments in resource/name form must have a single "
                                  "resource and name")  # fmt: skip
                found.setdefault(catalog.find(kind), []).append(name)
            return [Wanted(entry, tuple(names)) for entry, names in found.items()]
        entries: list[Entry] = []
        for word in filter(None, words[0].split(",")):
            entries += catalog.category(word) or [catalog.find(word)]
        names = tuple(words[1:])
        if not entries:
            raise Invalid(f"get: {words[0]!r}: names no resource")
        if names and self._options.all_namespaces:
            raise Invalid("a resource cannot be retrieved by name across all namespaces")
        if names and self._query:
            raise Invalid("name cannot be provided when a selector is specified")
        return [Wanted(entry, names) for entry in entries]

    def _where(self, entry: Entry) -> str:
        everywhere = self._options.all_namespaces or not entry.namespaced
        return "" if everywhere else self._session.namespace

    def _missed(self, error: ApiError, doing: str = "") -> None:
        if not (isinstance(error, NotFound) and self._options.ignore_not_found):
            cluster.fail(cluster.told(error, doing if error.code in (400, 404) else ""))
            self._failed = True

    def _listing(self, entry: Entry) -> str:
        resource, options = entry.resource, self._options
        what = f'"{resource.group}/{resource.version}, Resource={resource.plural}"'
        if not self._query:
            return f"Unable to list {what}: "
        return (f'Unable to find {what} that match label selector "{options.selector}", field '
                f'selector "{options.field_selector}": ')  # fmt: skip

    # whole objects

    async def _objects(self, wanted: list[Wanted], show: Print) -> None:
        found: list[tuple[Entry, dict[str, Any]]] = []
        single = len(wanted) == 1 and len(wanted[0].names) == 1
        for entry, names in wanted:
            client, where = self._session.client, self._where(entry)
            if not names:
                try:
                    items, _ = await client.list(entry.resource, where, **self._query)
                except ApiError as error:
                    self._missed(error, self._listing(entry))
                    continue
                found += [(entry, objectview.bare(entry, each)) for each in items]
            for name in names:
                try:
                    obj = await client.get(entry.resource, name, where)
                except ApiError as error:
                    self._missed(error)
                else:
                    found.append((entry, objectview.bare(entry, obj)))
        if self._options.output == "name" or single:
            sys.stdout.write("".join(show(entry, obj) for entry, obj in found))
        elif not self._failed or found:
            listed = {"apiVersion": "v1", "kind": "List", "items": [obj for _, obj in found],
                      "metadata": {"resourceVersion": ""}}  # fmt: skip
            sys.stdout.write(show(wanted[0].entry, listed))

    # tables

    def _view(self, entry: Entry, prefix: str = "") -> objectview.TableView:
        return objectview.TableView(
            wide=self._options.output == "wide",
            namespaces=self._options.all_namespaces and entry.namespaced,
            labels=self._options.show_labels,
            prefix=prefix,
        )

    async def _pages(self, entry: Entry, names: tuple[str, ...]) -> list[Object]:
        """The tables of the names, or of every page of the list."""
        where, found = self._where(entry), []
        for name in names:
            request = Request("get", entry.resource, where, name)
            try:
                found.append(await self._session.tables.call(request))
            except ApiError as error:
                self._missed(error)
        token = ""
        while not names:
            query = {"limit": "500", **self._query, **({"continue": token} if token else {})}
            request = Request("list", entry.resource, where, options=query)
            found.append(await self._session.tables.call(request))
            token = found[-1]["metadata"].get("continue", "")
            if not token:
                break
        return found

    async def _tables(self, wanted: list[Wanted]) -> None:
        many, printed = len(wanted) > 1, False
        for entry, names in wanted:
            try:
                pages = await self._pages(entry, names)
            except ApiError as error:
                self._missed(error, self._listing(entry))
                continue
            view = self._view(entry, f"{entry.qualified}/" if many else "")
            lines: list[list[str]] = []
            for page in pages:
                head = view.head(page)
                lines += view.rows(page)
            if not lines:
                continue
            if printed:
                print()
            printed = True
            shown = lines if self._options.no_headers else [head, *lines]
            sys.stdout.write(objectview.Columns().lines(shown))
        if not printed and not self._failed and not self._options.ignore_not_found:
            self._nothing(wanted)

    def _nothing(self, wanted: list[Wanted]) -> None:
        where = self._where(wanted[0].entry)
        cluster.fail(f"No resources found in {where} namespace." if where else "No resources found")

    # changes

    async def _watch(self, wanted: list[Wanted]) -> int:
        if len(wanted) != 1 or len(wanted[0].names) > 1:
            raise Invalid("you may only specify a single resource type, or one object of it, to "
                          "watch")  # fmt: skip
        (entry, names), where = wanted[0], self._where(wanted[0].entry)
        query = dict(self._query)
        if names:
            query["fieldSelector"] = f"metadata.name={names[0]}"
            await self._session.client.get(entry.resource, names[0], where)  # or it is told
        if self._show is not None:
            return await self._watch_objects(entry, where, query)
        request = Request("list", entry.resource, where, options=query)
        page = await self._session.tables.call(request)
        view, columns = self._view(entry), objectview.Columns()
        head = view.head(page)
        lines = [] if self._options.no_headers else [head]
        if not self._options.watch_only and page.get("rows"):
            self._flush(columns.lines([*lines, *view.rows(page)]))
            lines = []
        query["resourceVersion"] = page["metadata"]["resourceVersion"]
        while True:  # a server ends a watch now and then: go on where it was
            request = Request("watch", entry.resource, where, options=query)
            async for event in self._session.tables.watch(request):
                self._flush(columns.lines([*lines, *view.rows(event.object)]))
                lines = []
                metadata = event.object["rows"][0]["object"]["metadata"]
                query["resourceVersion"] = metadata["resourceVersion"]

    async def _watch_objects(self, entry: Entry, where: str, query: dict[str, str]) -> int:
        client = self._session.client
        items, revision = await client.list(entry.resource, where, **query)
        if not self._options.watch_only:
            for each in items:
                self._write(entry, each)
        while True:
            query["resourceVersion"] = revision
            async for event in client.watch(entry.resource, where, **query):
                self._write(entry, event.object)
                revision = event.object["metadata"]["resourceVersion"]

    def _write(self, entry: Entry, obj: Object) -> None:
        assert self._show is not None
        lead = "---\n" if self._options.output == "yaml" else ""
        self._flush(lead + self._show(entry, objectview.bare(entry, obj)))

    @staticmethod
    def _flush(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
