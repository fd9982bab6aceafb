"""Objects as a client sends them, and as the API stores them."""

from typing import Any

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.jsonvalues import copied
from dockyard.cluster.meta.objectmeta import carry_over, stamp

CREATED = "2025-01-01T00:00:00Z"


def kind_of(obj: dict[str, Any]) -> Kind:
    found = registry().kind(obj["apiVersion"], obj["kind"])
    assert found is not None, obj
    return found


def obj(api_version: str, kind: str, name: str = "a", **rest: Any) -> dict[str, Any]:
    """An object with a name, in ``default`` if its kind has namespaces."""
    found: dict[str, Any] = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    if kind_of(found).namespaced:
        found["metadata"]["namespace"] = "default"
    metadata = rest.pop("metadata", {})
    found["metadata"].update(metadata)
    return {**found, **rest}


def pod(name: str = "a", **spec: Any) -> dict[str, Any]:
    spec.setdefault("containers", [{"name": "c", "image": "nginx"}])
    return obj("v1", "Pod", name, spec=spec)


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    spec.setdefault("selector", {"matchLabels": {"app": "web"}})
    spec.setdefault(
        "template",
        {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]},
        },
    )
    return obj("apps/v1", "Deployment", name, spec=spec)


def created(given: dict[str, Any]) -> dict[str, Any]:
    """What is stored, if it is valid: decoded, defaulted, stamped, prepared."""
    found: dict[str, Any] = copied(given)
    kind = kind_of(found)
    assert registry().conform(kind, found) == []
    kind.default(found)
    stamp(found, uid="1b4e28ba-2fa1-11d2-883f-0016d3cca427", created=CREATED)
    kind.prepare_for_create(found)
    return found


def faults_of(given: dict[str, Any]) -> list[FieldError]:
    found = created(given)
    return kind_of(found).validate(found)


def faults_of_update(old: dict[str, Any], new: dict[str, Any]) -> list[FieldError]:
    """The faults of replacing a stored object."""
    found: dict[str, Any] = copied(new)
    kind = kind_of(found)
    kind.default(found)
    carry_over(found, old)
    kind.prepare_for_update(found, old)
    return kind.validate(found, old)


def words(faults: list[FieldError]) -> list[str]:
    return [str(each) for each in faults]


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}
