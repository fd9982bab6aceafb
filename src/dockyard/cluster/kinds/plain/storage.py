"""What CSI drivers and their attachments say of themselves."""

from dockyard.cluster.kinds.kind import STATUS, Kind

KINDS = (
    Kind("storage.k8s.io", "v1", "CSIDriver", "csidrivers", namespaced=False),
    Kind("storage.k8s.io", "v1", "CSINode", "csinodes", namespaced=False),
    Kind("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities"),
    Kind(
        "storage.k8s.io",
        "v1",
        "VolumeAttachment",
        "volumeattachments",
        namespaced=False,
        subresources=(STATUS,),
    ),
)
