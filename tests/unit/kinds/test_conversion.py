"""Objects served in two versions: nothing is lost on the way through the older one."""

from typing import Any

from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta.jsonvalues import copied

METADATA = {"name": "a", "namespace": "default"}


def through(api_version: str, kind: str, stored: dict[str, Any]) -> dict[str, Any]:
    """What comes back if somebody reads an object in another version and writes it back."""
    found = registry().kind(api_version, kind)
    assert found is not None
    before = copied(stored)
    shown = found.from_hub(stored)
    assert shown["apiVersion"] == api_version
    assert registry().conform(found, copied(shown)) == []
    back = found.to_hub(shown)
    assert stored == before
    return back


def test_an_autoscaler_of_version_1_carries_the_rest() -> None:
    stored = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": METADATA,
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 50},
                    },
                },
                {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {}}},
            ],
        },
        "status": {
            "desiredReplicas": 1,
            "conditions": [{"type": "AbleToScale", "status": "True"}],
        },
    }
    assert through("autoscaling/v1", "HorizontalPodAutoscaler", stored) == stored


def test_an_event_has_two_sets_of_names() -> None:
    stored = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": METADATA,
        "involvedObject": {"kind": "Pod", "name": "web"},
        "message": "hello",
        "source": {"component": "kubelet"},
        "reportingComponent": "kubelet",
        "firstTimestamp": "2025-01-01T00:00:00Z",
        "count": 2,
        "type": "Normal",
    }
    found = registry().kind("events.k8s.io/v1", "Event")
    assert found is not None
    shown = found.from_hub(stored)
    assert (shown["note"], shown["regarding"]["name"], shown["deprecatedCount"]) == (
        "hello",
        "web",
        2,
    )
    assert through("events.k8s.io/v1", "Event", stored) == stored
