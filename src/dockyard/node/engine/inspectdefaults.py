"""What Docker's API says of settings that this engine does not have: that nobody set them."""

from __future__ import annotations

from typing import Any

from dockyard.base.oci.defaultspec import MASKED, READONLY

HOST_CONFIG: dict[str, Any] = {
    "BlkioDeviceReadBps": [],
    "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteBps": [],
    "BlkioDeviceWriteIOps": [],
    "BlkioWeight": 0,
    "BlkioWeightDevice": [],
    "Cgroup": "",
    "CgroupParent": "",
    "ConsoleSize": [0, 0],
    "ContainerIDFile": "",
    "CpuCount": 0,
    "CpuPercent": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetMems": "",
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "Devices": [],
    "IOMaximumBandwidth": 0,
    "IOMaximumIOps": 0,
    "Isolation": "",
    "KernelMemory": 0,
    "KernelMemoryTCP": 0,
    "Links": None,
    "MaskedPaths": list(MASKED),
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "ReadonlyPaths": list(READONLY),
    "Runtime": "dockyard",
    "Ulimits": [],
    "UsernsMode": "",
    "VolumeDriver": "",
    "VolumesFrom": None,
}
ADDRESSES: dict[str, Any] = {
    "EndpointID": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}
ENDPOINT: dict[str, Any] = {
    **ADDRESSES,
    "Aliases": None,
    "DriverOpts": None,
    "IPAMConfig": None,
    "Links": None,
    "NetworkID": "",
}
NETWORK_SETTINGS: dict[str, Any] = {
    **ADDRESSES,
    "Bridge": "",
    "HairpinMode": False,
    "LinkLocalIPv6Address": "",
    "LinkLocalIPv6PrefixLen": 0,
    "SandboxID": "",
    "SecondaryIPAddresses": None,
    "SecondaryIPv6Addresses": None,
}
