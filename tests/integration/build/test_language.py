"""What the Dockerfile reference says of each instruction, with real builds."""

import json

import pytest

from helpers.buildbench import Bench

pytestmark = pytest.mark.root


def test_heredocs_of_run(bench: Bench) -> None:
    """Reference, "Here-Documents"."""
    bench.build(
        "FROM busybox\n"
        "ARG NAME=world\n"
        "RUN <<EOF\n"
        "echo hello $NAME > /one\n"
        "echo second >> /one\n"
        "EOF\n"
        "RUN cat <<EOF > /two && cat <<'END' > /three\n"
        "of $NAME\n"
        "EOF\n"
        "as $NAME\n"
        "END\n"
        "RUN <<EOF\n"
        "#!/bin/busybox sh\n"
        'echo "script $0" > /four\n'
        "EOF\n"
        "RUN <<-EOF\n"
        "\t\techo tabs > /five\n"
        "\tEOF\n"
    )
    found = bench.files()
    assert found["one"] == "hello world\nsecond\n"
    assert (found["two"], found["three"]) == ("of world\n", "as $NAME\n")
    assert found["four"] == "script /dev/pipes/EOF\n"
    assert found["five"] == "tabs\n"
    assert "dev/pipes" not in found


def test_heredocs_of_copy(bench: Bench) -> None:
    bench.build(
        "FROM scratch\n"
        "ARG FOO=bar\n"
        'COPY <<-EOT /script.sh\n\techo "hello ${FOO}"\nEOT\n'
        'COPY <<one.txt <<"two.txt" /d/\nfirst $FOO\none.txt\nsecond $FOO\ntwo.txt\n'
        "ADD --chmod=755 <<EOF /exec\nx\\$FOO\nEOF\n"
    )
    assert bench.files() == {
        "script.sh": 'echo "hello bar"\n',
        "d/one.txt": "first bar\n",
        "d/two.txt": "second $FOO\n",
        "exec": "x$FOO\n",
    }
    assert (bench.top() / "exec").stat().st_mode & 0o7777 == 0o755
    assert (bench.top(1) / "d/one.txt").stat().st_mode & 0o7777 == 0o644


def test_scopes_of_arg(bench: Bench) -> None:
    """Reference, "Scope" and "Automatic platform ARGs in the global scope"."""
    told = bench.build(
        """
        ARG BASE=busybox
        ARG VERSION=1
        FROM $BASE AS first
        RUN echo "[$VERSION][$TARGETARCH]" > /unseen
        ARG VERSION
        ARG TARGETARCH
        ARG BUILDPLATFORM
        ARG OWN=${VERSION}-own
        RUN echo "[$VERSION][$TARGETARCH][$BUILDPLATFORM][$OWN]" > /seen
        FROM first
        RUN echo "[$OWN]" > /inherited
        ARG OWN=second
        ENV OWN=env
        RUN echo "[$OWN]" > /env; echo "[$HTTP_PROXY]" > /proxy
        """,
        "--build-arg", "HTTP_PROXY=http://p", "--build-arg", "VERSION=2",
    )  # fmt: skip
    found = bench.files()
    machine = "amd64"
    assert found["unseen"] == "[][]\n"
    assert found["seen"] == f"[2][{machine}][linux/{machine}][2-own]\n"
    assert found["inherited"] == "[2-own]\n"
    assert (found["env"], found["proxy"]) == ("[env]\n", "[http://p]\n")
    assert "UndefinedVar" not in told


def test_modifiers_of_variables(bench: Bench) -> None:
    """Reference, "Environment replacement": its own examples."""
    bench.build(
        """
        FROM scratch
        ENV str=foobarbaz string=foobarbaz
        LABEL a=${str#f*b} b=${str##f*b} c=${string%b*} d=${string%%b*}
        LABEL e=${string/ba/fo} f=${string//ba/fo} g=${none:-word} h=${str:+word} i=${none+x}
        """
    )
    assert dict(bench.image.config.labels) == {
        "a": "arbaz", "b": "az", "c": "foobar", "d": "foo",
        "e": "fooforbaz", "f": "fooforfoz", "g": "word", "h": "word", "i": "",
    }  # fmt: skip


def test_stages(bench: Bench) -> None:
    bench.write({"f": "context"})
    bench.build(
        """
        FROM busybox AS Build
        RUN echo made > /made && chown 7:8 /made && ln -s made /link
        RUN mkdir /dir && echo x > /dir/f
        FROM scratch AS other
        COPY f /f
        FROM scratch
        COPY --from=build /made /made
        COPY --from=0 /link /followed
        COPY --from=1 /f /f
        COPY --from=build --chown=1:2 /dir /dir
        COPY --from=busybox /etc/passwd /passwd
        """
    )
    found = bench.files()
    assert (found["made"], found["followed"], found["f"]) == ("made\n", "made\n", "context")
    assert found["dir/f"] == "x\n"
    assert "passwd" in found
    made = (bench.top(4) / "made").stat()
    assert (made.st_uid, made.st_gid) == (7, 8)  # files of a stage keep their owners
    owned = (bench.top(1) / "dir/f").stat()
    assert (owned.st_uid, owned.st_gid) == (1, 2)


def test_a_stage_as_a_base_keeps_its_configuration(bench: Bench) -> None:
    bench.build(
        "FROM busybox AS base\nENV A=1\nWORKDIR /w\nUSER 5\nFROM base\nRUN echo $A > /tmp/a\n"
    )
    config = bench.image.config
    assert (config.working_dir, config.user) == ("/w", "5")
    assert "A=1" in config.env


def test_flags_of_copy(bench: Bench) -> None:
    bench.write({"a/b/c.txt": "c", "a/b/d.md": "d", "a/e.txt": "e", "run.sh": "x", "x/y/z": "z"})
    (bench.context / "run.sh").chmod(0o640)
    bench.build(
        """
        FROM busybox
        COPY --parents a/b/c.txt a/e.txt /parents/
        COPY --parents x/./y/z /pivot/
        COPY --exclude=*.md a/b /excluded/
        COPY --exclude=b a /top/
        COPY --chmod=u+x,go=rX run.sh /mode
        COPY --link run.sh /bin/linked
        """
    )
    found = bench.files()
    assert {name for name in found if name.startswith(("parents", "pivot", "excluded", "top"))} == {
        "parents/a/b/c.txt", "parents/a/e.txt", "pivot/y/z", "excluded/c.txt", "top/e.txt",
    }  # fmt: skip
    assert (bench.top(1) / "mode").stat().st_mode & 0o777 == 0o755  # as chmod(1) has it
    assert (bench.top() / "bin/linked").is_file()  # its own layer: /bin is no link there


def test_onbuild(bench: Bench) -> None:
    bench.write({"src": "s"})
    bench.build(
        "FROM busybox\nONBUILD ARG WHO=me\nONBUILD COPY src /src\n"
        "ONBUILD RUN <<EOF\necho $WHO > /who\nEOF\n"
    )
    assert "who" not in bench.files()
    assert bench.image.config.onbuild[:2] == ("ARG WHO=me", "COPY src /src")
    bench.store.tag("out", "base")
    bench.build("FROM base\nRUN cat /who /src > /both\n", "--build-arg", "WHO=you")
    assert bench.said("both") == "you\ns"
    assert bench.image.config.onbuild == ()


def test_healthcheck_and_maintainer(bench: Bench) -> None:
    told = bench.build(
        "FROM scratch\nMAINTAINER Some Body\n"
        "HEALTHCHECK --interval=1m30s --timeout=3s --start-period=5s --start-interval=500ms "
        "--retries=4 CMD curl -f http://localhost/ || exit 1\n"
    )
    assert json.loads(bench.image.config.healthcheck) == {
        "Test": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"],
        "Interval": 90_000_000_000, "Timeout": 3_000_000_000, "StartPeriod": 5_000_000_000,
        "StartInterval": 500_000_000, "Retries": 4,
    }  # fmt: skip
    assert bench.image.config.author == "Some Body"
    assert "MaintainerDeprecated: Maintainer instruction is deprecated" in told
    bench.build('FROM scratch\nHEALTHCHECK NONE\nCMD ["x"]\n')
    assert json.loads(bench.image.config.healthcheck) == {"Test": ["NONE"]}


def test_workdir_belongs_to_the_user(bench: Bench) -> None:
    bench.build("FROM busybox\nUSER 33:33\nWORKDIR /made/here\nRUN touch x\n")
    found = (bench.top(1) / "made/here").stat()
    assert (found.st_uid, found.st_gid) == (33, 33)


def test_e04_a_step_that_needs_a_caller_s_word(bench: Bench) -> None:
    told = bench.fail("FROM busybox\nRUN --network=host true\n")
    assert "network.host is not allowed; the caller allows it with --allow network.host" in told
    told = bench.fail("FROM busybox\nRUN --security=insecure true\n")
    assert "security.insecure is not allowed" in told
    told = bench.build(
        "FROM busybox\nRUN --security=insecure mkdir /m && mount -t tmpfs x /m && umount /m"
        " && grep CapEff /proc/self/status\n",
        "--allow", "security.insecure",
    )  # fmt: skip
    assert "00000000a80425fb" not in told


def test_the_default_network_reaches_out(bench: Bench) -> None:
    told = bench.build(
        "FROM busybox\nRUN ip -o -4 addr show | grep -v ' lo ' && ip route && cat /etc/hosts\n",
        "--network", "default", "--add-host", "db.local:10.1.2.3",
    )  # fmt: skip
    assert "default via" in told
    assert "10.1.2.3\tdb.local" in told
    assert "etc/hosts" not in bench.files("etc") or "db.local" not in bench.said("etc/hosts")
