"""EndpointSlices and Endpoints of Services, as their pods come, serve and go."""

from pathlib import Path
from typing import Any

from dockyard.cluster.client.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from dockyard.cluster.controllers.slices import mirrored, slices_of
from helpers.controllers import Cluster, with_controllers

ALONE = ("endpoints",)


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "targetPort": 8080}])
    return {"metadata": {"name": name, "labels": {"tier": "front"}},
            "spec": {"selector": {"app": "web"}, "ports": ports, **spec}}  # fmt: skip


async def pod(
    cluster: Cluster, name: str, ip: str, ready: bool = True, port: int = 8080, **spec: Any
) -> None:  # fmt: skip
    ports = [{"name": "http", "containerPort": port}]
    await cluster.create(PODS, {
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "n1",
                 "containers": [{"name": "c", "image": "nginx:1", "ports": ports}], **spec},
    })  # fmt: skip
    await cluster.say(name, "Running", ready, podIP=ip, podIPs=[{"ip": ip}])
    await cluster.settle()


async def one_slice(cluster: Cluster) -> Any:
    (found,) = await cluster.list(ENDPOINT_SLICES)
    return found


async def states(cluster: Cluster) -> dict[str, tuple[bool, bool, bool]]:
    """address -> (ready, serving, terminating)."""
    return {
        each["addresses"][0]: tuple(
            each["conditions"][name] for name in ("ready", "serving", "terminating")
        )
        for found in await cluster.list(ENDPOINT_SLICES)
        for each in found["endpoints"]
    }


async def subsets(cluster: Cluster) -> Any:
    return (await cluster.get(ENDPOINTS, "web")).get("subsets", [])


def test_a_service_without_pods_has_an_empty_slice(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        made = await cluster.create(SERVICES, service())
        found = await one_slice(cluster)
        assert found["metadata"]["labels"] == {
            "kubernetes.io/service-name": "web", "tier": "front",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }  # fmt: skip
        owner = found["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"], owner["controller"]) == (
            "Service", made["metadata"]["uid"], True,
        )  # fmt: skip
        assert not found["endpoints"]
        assert await subsets(cluster) == []

    with_controllers(tmp_path, ALONE, test)


def test_pods_that_come_serve_and_go(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(SERVICES, service())
        await pod(cluster, "a", "10.0.0.1", ready=False)
        assert await states(cluster) == {"10.0.0.1": (False, False, False)}
        found = await one_slice(cluster)
        assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        endpoint = found["endpoints"][0]
        assert endpoint["targetRef"]["name"] == "a"
        assert endpoint["nodeName"] == "n1"
        assert (await subsets(cluster))[0].keys() == {"notReadyAddresses", "ports"}
        await cluster.say("a", "Running")
        await cluster.settle()
        assert await states(cluster) == {"10.0.0.1": (True, True, False)}
        subset = (await subsets(cluster))[0]
        assert [each["ip"] for each in subset["addresses"]] == ["10.0.0.1"]
        assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        await cluster.delete(PODS, "a")  # it drains: no new ones, but who has it may go on
        assert await states(cluster) == {"10.0.0.1": (False, True, True)}
        assert await subsets(cluster) == []
        await cluster.end_pods()
        assert await states(cluster) == {}

    with_controllers(tmp_path, ALONE, test)


def test_pods_that_do_not_belong(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(SERVICES, service())
        await pod(cluster, "a", "10.0.0.1")
        await cluster.patch(PODS, "a", {"metadata": {"labels": {"app": "debug"}}})
        assert await states(cluster) == {}
        await cluster.patch(PODS, "a", {"metadata": {"labels": {"app": "web"}}})
        assert list(await states(cluster)) == ["10.0.0.1"]
        await cluster.say("a", "Succeeded", ready=False)
        await cluster.settle()
        assert await states(cluster) == {}
        await cluster.patch(SERVICES, "web", {"spec": {"selector": {"app": "other"}}})
        assert await states(cluster) == {}

    with_controllers(tmp_path, ALONE, test)


def test_unready_addresses_are_published_where_the_service_says_so(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True}
        await cluster.create(SERVICES, service(**spec))
        await pod(cluster, "a", "10.0.0.1", ready=False, hostname="a", subdomain="web")
        assert await states(cluster) == {"10.0.0.1": (True, False, False)}
        found = await one_slice(cluster)
        assert found["endpoints"][0]["hostname"] == "a"
        assert found["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
        assert (await subsets(cluster))[0]["addresses"][0]["hostname"] == "a"

    with_controllers(tmp_path, ALONE, test)


def test_a_name_of_a_port_that_means_different_numbers(tmp_path: Path) -> None:
    """In the middle of a rollout that changes containerPort: each pod at its own."""

    async def test(cluster: Cluster) -> None:
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        await cluster.create(SERVICES, service(ports=ports))
        await pod(cluster, "a", "10.0.0.1", port=8080)
        await pod(cluster, "b", "10.0.0.2", port=9090)
        found = {
            each["addresses"][0]: [port["port"] for port in one["ports"]]
            for one in await cluster.list(ENDPOINT_SLICES)
            for each in one["endpoints"]
        }
        assert found == {"10.0.0.1": [8080], "10.0.0.2": [9090]}
        shown = {each["addresses"][0]["ip"]: each["ports"][0]["port"]
                 for each in await subsets(cluster)}  # fmt: skip
        assert shown == {"10.0.0.1": 8080, "10.0.0.2": 9090}
        await cluster.delete(PODS, "a")
        await cluster.end_pods()
        assert len(await cluster.list(ENDPOINT_SLICES)) == 1

    with_controllers(tmp_path, ALONE, test)


def test_a_deleted_service_leaves_nothing(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(SERVICES, service())
        await pod(cluster, "a", "10.0.0.1")
        await cluster.delete(SERVICES, "web")
        assert await cluster.list(ENDPOINT_SLICES) == []
        assert await cluster.list(ENDPOINTS) == []

    with_controllers(tmp_path, ALONE, test)


def test_what_somebody_takes_away_comes_back(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(SERVICES, service())
        await pod(cluster, "a", "10.0.0.1")
        found = await one_slice(cluster)
        await cluster.delete(ENDPOINT_SLICES, found["metadata"]["name"])
        await cluster.delete(ENDPOINTS, "web")
        await cluster.clock.advance(1)
        assert list(await states(cluster)) == ["10.0.0.1"]
        assert len(await subsets(cluster)) == 1

    with_controllers(tmp_path, ALONE, test)


def test_endpoints_that_somebody_wrote_are_mirrored(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        plain = service()
        del plain["spec"]["selector"]
        await cluster.create(SERVICES, plain)
        assert await cluster.list(ENDPOINT_SLICES) == []
        subset = {"addresses": [{"ip": "192.0.2.7"}], "ports": [{"name": "http", "port": 81}]}
        await cluster.create(ENDPOINTS, {"metadata": {"name": "web"}, "subsets": [subset]})
        found = await one_slice(cluster)
        assert found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == (
            "endpointslicemirroring-controller.k8s.io"
        )
        assert [each["addresses"] for each in found["endpoints"]] == [["192.0.2.7"]]
        assert found["ports"][0]["port"] == 81
        patch = {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
        await cluster.patch(ENDPOINTS, "web", patch)
        assert await cluster.list(ENDPOINT_SLICES) == []

    with_controllers(tmp_path, ALONE, test)


def shaped(number: int) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True"}
    return {
        "metadata": {"name": f"p{number:04}", "namespace": "d", "uid": str(number)},
        "spec": {"containers": []},
        "status": {"podIP": f"10.0.{number // 250}.{number % 250}", "conditions": [ready]},
    }


def test_a_slice_has_a_hundred_endpoints_at_most() -> None:
    wish = {**service(), "metadata": {"name": "web", "namespace": "d", "uid": "abcdefg"}}
    found = slices_of(wish, [shaped(number) for number in range(250)])
    assert [len(each["endpoints"]) for each in found] == [100, 100, 50]
    assert len({each["metadata"]["name"] for each in found}) == 3


def test_families_do_not_mix() -> None:
    wish = {**service(), "metadata": {"name": "web", "namespace": "d", "uid": "abcdefg"}}
    subset = {"addresses": [{"ip": "192.0.2.7"}, {"ip": "2001:db8::1"}],
              "notReadyAddresses": [{"ip": "192.0.2.8"}]}  # fmt: skip
    found = {
        each["addressType"]: each["endpoints"] for each in mirrored(wish, {"subsets": [subset]})
    }
    assert [(each["addresses"], each["conditions"]["ready"]) for each in found["IPv4"]] == [
        (["192.0.2.7"], True), (["192.0.2.8"], False),
    ]  # fmt: skip
    assert [each["addresses"] for each in found["IPv6"]] == [["2001:db8::1"]]
