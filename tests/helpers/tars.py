"""Turns a list of entries into a tar, by Python's own tarfile: not by the code under test."""

import io
import tarfile

Entry = tuple[str, dict[str, object]]


def tar(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """``(name, fields of TarInfo)``; ``data`` is a file's content, ``xattrs`` go as pax records."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, fields in entries:
            info = tarfile.TarInfo(name)
            data = fields.get("data", b"")
            assert isinstance(data, bytes)
            info.size = len(data)
            xattrs = fields.get("xattrs", {})
            assert isinstance(xattrs, dict)
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in xattrs.items()}
            for key, value in fields.items():
                if key not in ("data", "xattrs"):
                    setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def file(name: str, data: bytes = b"x", **fields: object) -> Entry:
    return name, {"data": data, "mode": 0o644, **fields}


def folder(name: str, **fields: object) -> Entry:
    return name, {"type": tarfile.DIRTYPE, "mode": 0o755, **fields}


def symlink(name: str, target: str) -> Entry:
    return name, {"type": tarfile.SYMTYPE, "linkname": target, "mode": 0o777}


def hardlink(name: str, target: str) -> Entry:
    return name, {"type": tarfile.LNKTYPE, "linkname": target, "mode": 0o644}


def device(name: str, major: int, minor: int, kind: bytes = tarfile.CHRTYPE) -> Entry:
    return name, {"type": kind, "devmajor": major, "devminor": minor, "mode": 0o666}
