"""Here-documents in steps: cases that the Dockerfile frontend's own tests hold."""

import pytest

from helpers.buildbench import Bench

pytestmark = pytest.mark.root


def test_documents_become_files(bench: Bench) -> None:
    bench.build(
        """\
FROM busybox
RUN echo user:x:77:77::/:/bin/sh >> /etc/passwd && echo user:x:77: >> /etc/group
WORKDIR /dest
COPY <<EOF single
single file
EOF
COPY <<EOF <<EOF2 double/
first file
EOF
second file
EOF2
COPY --chmod=777 <<EOF /all
x
EOF
COPY --chown=user:user <<EOF /owned
x
EOF
RUN stat -c '%04a %U:%G' /all /owned /dest/double/EOF > /perms
"""
    )
    found = bench.files()
    assert found["dest/single"] == "single file\n"
    assert (found["dest/double/EOF"], found["dest/double/EOF2"]) == (
        "first file\n",
        "second file\n",
    )
    assert found["perms"].splitlines() == ["0777 root:root", "0644 user:user", "0644 root:root"]


def test_symbols_in_documents(bench: Bench) -> None:
    names = {
        '<<EOF quotes': ('"quotes in file"', '"quotes in file"\n'),
        "<<EOF one": ("\\", "\n"),
        "<<EOF two": ("\\\\", "\\\n"),
        "<<EOF dollar": ("\\$", "$\n"),
        '<<"EOF" raw1': ("\\", "\\\n"),
        '<<"EOF" raw2': ("\\\\", "\\\\\n"),
        "<<'EOF' raw3": ("\\$", "\\$\n"),
    }  # fmt: skip
    steps = "".join(f"COPY {name}\n{text}\nEOF\n" for name, (text, _) in names.items())
    bench.build(f"FROM scratch\n{steps}")
    found = bench.files()
    assert {name: found[name.split()[1]] for name in names} == {
        name: wanted for name, (_, wanted) in names.items()
    }


def test_variables_in_documents(bench: Bench) -> None:
    bench.build(
        """\
FROM busybox
ARG name=world
COPY <<EOF /c1
Hello ${name}!
EOF
COPY <<'EOF' /c2
Hello ${name}!
EOF
COPY <<"EOF" /c3
Hello ${name}!
EOF
COPY <<EOF /c4
Bye ${none:-$name} "$name" '$name'
EOF
RUN <<EOF
greeting="Hello"
echo "${greeting} ${name}!" > /r1
EOF
RUN <<EOF
name="new world"
echo "Hello ${name}!" > /r2
EOF
RUN <<'EOF' cat > /r3
Hello ${name}!
EOF
"""
    )
    found = bench.files()
    assert [found[name] for name in ("c1", "c2", "c3")] == [
        "Hello world!\n", "Hello ${name}!\n", "Hello ${name}!\n",
    ]  # fmt: skip
    assert found["c4"] == "Bye world \"world\" 'world'\n"
    assert [found[name] for name in ("r1", "r2", "r3")] == [
        "Hello world!\n", "Hello new world!\n", "Hello ${name}!\n",
    ]  # fmt: skip


def test_programs_that_read_documents(bench: Bench) -> None:
    bench.build(
        """\
FROM busybox
WORKDIR /dest
RUN <<EOF
echo "i am" >> /dest/who
whoami >> /dest/who
EOF
RUN <<-EOF
\t#!/bin/awk -f
\tBEGIN { print "hello" > "./script" }
EOF
RUN cat <<EOF1 | tr '[:upper:]' '[:lower:]' > ./out1; \\
\tcat <<EOF2 | tr '[:lower:]' '[:upper:]' > ./out2
hello WORLD
EOF1
HELLO world
EOF2
RUN <<EOF 3<<IN1 4<<IN2 awk -f -
BEGIN {
\twhile ((getline line < "/proc/self/fd/3") > 0)
\t\tprint tolower(line) > "./fd3"
\twhile ((getline line < "/proc/self/fd/4") > 0)
\t\tprint toupper(line) > "./fd4"
}
EOF
hello WORLD
IN1
HELLO world
IN2
SHELL ["/bin/awk"]
RUN <<EOF
BEGIN { print "foo" > "/dest/fake" }
EOF
"""
    )
    found = {name.removeprefix("dest/"): text for name, text in bench.files("dest").items()}
    assert found == {
        "who": "i am\nroot\n", "script": "hello\n", "out1": "hello world\n",
        "out2": "HELLO WORLD\n", "fd3": "hello world\n", "fd4": "HELLO WORLD\n", "fake": "foo\n",
    }  # fmt: skip


def test_tabs_of_documents(bench: Bench) -> None:
    bench.build(
        "FROM busybox\nCOPY <<EOF /foo-copy\n\tfoo\nEOF\nCOPY <<-EOF /bar-copy\n\tbar\nEOF\n"
        'RUN <<EOF\necho "\n\tfoo" > /foo-run\nEOF\nRUN <<-EOF\necho "\n\tbar" > /bar-run\nEOF\n'
        'RUN <<-EOF\n#!/bin/sh\necho "\n\tbar" > /bar2-run\nEOF\n'
        'RUN <<EOF sh > /foo3-run\necho "\n\tfoo"\nEOF\n'
        'RUN <<-EOF sh > /bar3-run\necho "\n\tbar"\nEOF\n'
    )
    found = bench.files()
    assert {name: found[name] for name in ("foo-copy", "foo-run", "foo3-run")} == {
        "foo-copy": "\tfoo\n", "foo-run": "\n\tfoo\n", "foo3-run": "\n\tfoo\n",
    }  # fmt: skip
    for name in ("bar-run", "bar2-run", "bar3-run"):
        assert found[name] == "\nbar\n"
    assert found["bar-copy"] == "bar\n"


def test_documents_of_triggers(bench: Bench) -> None:
    bench.build(
        "FROM busybox AS base\nONBUILD RUN <<EOF\necho ran > /by-run\nEOF\n"
        "ONBUILD COPY <<EOF /by-copy\ncopied $HOME\nEOF\n"
        "FROM base\nENV HOME=/h\n"
    )
    found = bench.files()
    assert (found["by-run"], found["by-copy"]) == ("ran\n", "copied \n")
