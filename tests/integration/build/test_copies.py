"""Where COPY lays what: cases that the Dockerfile frontend's own tests hold, told in steps."""

import pytest

from helpers.buildbench import Bench

pytestmark = pytest.mark.root

TREE = (
    "FROM busybox AS base\nWORKDIR /test\nRUN mkdir -p a/b/c/d/e a/b2/c/d/e a/b/c2/d/e a/b/c2/d/e2;"
    " touch a/b/c/d/foo a/b/c/d/e/bay a/b2/c/d/e/bar a/b/c2/d/e/baz a/b/c2/d/e2/baz\n"
)


@pytest.mark.parametrize(
    ("sources", "there", "absent"),
    [
        ("/test/a/b/./c/d", "c/d/e c/d/foo", "a e"),
        ("/test/a/b/c/d/.", "test/a/b/c/d/e test/a/b/c/d/foo", "a"),
        ("./test/a/b/c/d", "test/a/b/c/d/e test/a/b/c/d/foo", "a"),
        ("/test/a/./b/./c", "b/c/d/e b/c/d/foo", "c"),
        ("/test/a/./*/c", "b/c/d/e b2/c/d/e/bar", "c"),
        ("/test/a/b*/./c/**/e", "c/d/e/bay c/d/e/bar", "d"),
        ("/test/a/b/c*/./d/**/baz /test/a/b*/./c/**/bar", "d/e/baz d/e2/baz c/d/e/bar", "d/e/bay"),
        ("/test/a/none*/c", ".", "a test"),
        ("/test/a/b/./none*", ".", "a c"),
    ],
)
def test_parents(bench: Bench, sources: str, there: str, absent: str) -> None:
    checks = [f"test -e /out/{path}" for path in there.split()]
    checks += [f"test ! -e /out/{path}" for path in absent.split()]
    bench.build(
        f"{TREE}FROM busybox\nCOPY --from=base --parents {sources} /out/\n"
        f"RUN find /out; {' && '.join(checks)}\n"
    )


def test_parents_of_what_is_not_there(bench: Bench) -> None:
    told = bench.fail(f"{TREE}FROM busybox\nCOPY --from=base --parents /test/none /out/\n")
    assert "/test/none: is not in stage base" in told


def test_owners_of_directories_that_are_there_and_that_are_made(bench: Bench) -> None:
    source = (
        "FROM busybox AS source\nRUN touch /file && chown 100:200 /file && mkdir -p /dir/subdir && "
        "touch /dir/subdir/nested && chown 100:200 /dir && chown 101:201 /dir/subdir && "
        "chown 102:202 /dir/subdir/nested && chmod 711 /dir /dir/subdir\n"
        "FROM busybox\nRUN mkdir -p /there/sub && touch /there/file && chown 500:600 /there && "
        "chown 501:601 /there/sub /there/file\n"
    )
    look = "RUN stat -c '%n %u:%g %a' /file /dir /dir/subdir /dir/subdir/nested /there /there/* " \
           "/there/subdir/* > /seen\n"  # fmt: skip
    bench.build(
        f"{source}COPY --from=source /file .\nCOPY --from=source /dir /dir\n"
        f"COPY --from=source /dir/. /there\n{look}"
    )
    assert bench.said("seen").splitlines() == [
        "/file 100:200 644",
        "/dir 0:0 755",  # made for what is copied, as root's
        "/dir/subdir 101:201 711",
        "/dir/subdir/nested 102:202 644",
        "/there 500:600 755",
        "/there/file 501:601 644",
        "/there/sub 501:601 755",
        "/there/subdir 101:201 711",
        "/there/subdir/nested 102:202 644",
    ]
    bench.build(
        f"{source}COPY --from=source --chown=7:8 /file .\n"
        "COPY --from=source --chown=7:8 /dir /dir\n"
        f"COPY --from=source --chown=7:8 /dir/. /there\n{look}"
    )
    owners = [line.split()[1] for line in bench.said("seen").splitlines()]
    assert owners == ["7:8"] * 4 + ["500:600", "501:601", "501:601", "7:8", "7:8"]


def test_patterns_that_fit_nothing(bench: Bench) -> None:
    bench.write({"foo": "contents"})
    bench.build("FROM busybox\nCOPY foo none* /\nADD none* also* /made/\nRUN test -d /made\n")
    assert bench.said("foo") == "contents"
    assert "none: is not in the build context" in bench.fail("FROM busybox\nCOPY foo none /\n")


def test_where_patterns_and_folders_go(bench: Bench) -> None:
    bench.write({"foo.go": "foo", "bar.go": "bar", "sub/dir1/dir2/foo": "deep"})
    bench.build(
        """
        FROM scratch
        COPY *.go /gofiles/
        COPY f*.go foo2.go
        COPY sub/* /subdest/
        COPY sub/*/dir2/foo /subdest2/
        COPY sub/*/dir2/foo /subdest3/bar
        COPY . all/
        COPY sub/dir1/ subdest4
        COPY sub/dir1/. subdest5
        COPY sub/dir1 subdest6
        """
    )
    found = bench.files()
    assert set(found) - {"all/Dockerfile"} == {
        "gofiles/foo.go", "gofiles/bar.go", "foo2.go", "subdest/dir2/foo", "subdest2/foo",
        "subdest3/bar", "all/foo.go", "all/bar.go", "all/sub/dir1/dir2/foo", "subdest4/dir2/foo",
        "subdest5/dir2/foo", "subdest6/dir2/foo",
    }  # fmt: skip


def test_relative_targets(bench: Bench) -> None:
    bench.write({"foo": "hello"})
    bench.build(
        """
        FROM busybox
        WORKDIR /test1
        WORKDIR test2
        COPY foo ./
        ADD foo ./bar/baz
        COPY foo ./bar/baz2
        WORKDIR ..
        COPY foo ./
        COPY foo /test3/
        WORKDIR /test4
        COPY . .
        WORKDIR /test5/test6
        COPY foo ../
        ENV empty=""
        COPY foo $empty
        """
    )
    assert {name for name, text in bench.files().items() if text == "hello"} == {
        "test1/test2/foo", "test1/test2/bar/baz", "test1/test2/bar/baz2", "test1/foo", "test3/foo",
        "test4/foo", "test5/foo", "test5/test6/foo",
    }  # fmt: skip


def test_links_that_are_named_are_followed_and_those_in_folders_kept(bench: Bench) -> None:
    bench.write({"bar": "bar", "sub/lfile": "lfile", "sub/subfile": "subfile", "sub/baz": "baz"})
    for name, target in (("foo", "bar"), ("link", "sub"), ("sub/l0", "subfile"),
                         ("sub/l1", "second"), ("sub/second", "baz")):  # fmt: skip
        (bench.context / name).symlink_to(target)
    bench.build("FROM scratch\nCOPY foo /\nCOPY sub/l* alllinks/\nCOPY link/subfile /through\n"
                "COPY sub /whole\n")  # fmt: skip
    found = bench.files()
    assert (found["foo"], found["through"]) == ("bar", "subfile")
    assert {name: found[f"alllinks/{name}"] for name in ("l0", "l1", "lfile")} == {
        "l0": "subfile", "l1": "baz", "lfile": "lfile",
    }  # fmt: skip
    assert found["whole/l1"] == "-> second"


def test_what_is_there_already_is_replaced(bench: Bench) -> None:
    bench.write({"sub/dir1/dir2/foo": "foo", "files/foo.go": "go"})
    bench.build(
        "FROM scratch\nCOPY sub sub\nCOPY sub sub\nCOPY files/foo.go dest/foo.go\n"
        "COPY files/foo.go dest/foo.go\nCOPY files dest\n"
    )
    found = bench.files()
    assert (found["sub/dir1/dir2/foo"], found["dest/foo.go"]) == ("foo", "go")


def test_a_destination_leads_where_its_links_do(bench: Bench) -> None:
    """Also to what is not there yet, and never out of the root: docker's own builders' trees."""
    bench.write({"f": "new", "d/x": "x", "l/link": "old"})
    links = {"a": "/nowhere/file", "lib": "/usr/lib2", "c": "../../../etc/esc", "loop": "loop",
             "conf": "l/link", "way": "srv/way"}  # fmt: skip
    for name, target in links.items():
        (bench.context / "links").mkdir(exist_ok=True)
        (bench.context / "links" / name).symlink_to(target)
    start = "FROM scratch\nCOPY l /l\nCOPY links /\n"
    bench.build(
        f"{start}COPY f /a\nCOPY d /lib\nCOPY f /lib/\nADD f /lib/deep/y\nCOPY f /c\nCOPY f /conf\n"
        "WORKDIR /way/here\nCOPY f .\n"
    )
    found = bench.files()
    assert {name: found[name] for name in links} == {
        name: f"-> {target}" for name, target in links.items()
    }
    wanted = ("nowhere/file", "usr/lib2/f", "usr/lib2/deep/y", "etc/esc", "l/link",
              "srv/way/here/f")  # fmt: skip
    assert {name: found.get(name) for name in wanted} == dict.fromkeys(wanted, "new")
    assert found["usr/lib2/x"] == "x"
    assert "too many levels of symbolic links" in bench.fail(f"{start}COPY f /loop\n")
