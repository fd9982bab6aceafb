"""What CSI drivers and their attachments say of themselves."""

from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind("storage.k8s.io", "v1", "CSIDriver", "csidrivers", namespaced=False, **rows.DRIVER),
    Kind("storage.k8s.io", "v1", "CSINode", "csinodes", namespaced=False, **rows.DRIVERS),
    Kind("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", **rows.CAPACITY),
    Kind(
        "storage.k8s.io",
        "v1",
        "VolumeAttachment",
        "volumeattachments",
        namespaced=False,
        subresources=(STATUS,),
        **rows.ATTACHMENT,
    ),
)
