"""Go templates: the expectations are what text/template and docker's own functions print."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.cli.template import compiled, expand, listed

VALUE: dict[str, Any] = {
    "Name": "/web",
    "State": {"Running": True, "Pid": 42, "Error": ""},
    "Args": ["-c", "echo"],
    "Config": {"Labels": {"a.b": "c", "z": "y"}, "Cmd": None},
    "NetworkSettings": {
        "Networks": {"bridge": {"IPAddress": "172.17.0.2"}, "back": {"IPAddress": "10.0.0.2"}},
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None},
    },
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "/web"),
        ("{{ .State.Pid }}-{{.State.Running}}", "42-true"),
        ("{{json .Args}}", '["-c","echo"]'),
        ("{{json .State}}", '{"Running":true,"Pid":42,"Error":""}'),
        ("{{.Args}}", "[-c echo]"),
        ("{{.Config.Labels}}", "map[a.b:c z:y]"),
        ('{{index .Config.Labels "a.b"}}', "c"),
        ('{{index .Args 1}}', "echo"),
        ("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", "10.0.0.2 172.17.0.2 "),
        ("{{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.IPAddress}};{{end}}",
         "back=10.0.0.2;bridge=172.17.0.2;"),
        ('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{range $p, $conf := .NetworkSettings.Ports}}{{$p}} -> "
         "{{if $conf}}{{(index $conf 0).HostPort}}{{else}}none{{end}} {{end}}",
         "80/tcp -> 8080 81/tcp -> none "),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .State.Error}}bad{{else if .State.Running}}good{{else}}gone{{end}}", "good"),
        ("{{with .Config.Cmd}}{{.}}{{else}}nothing{{end}}", "nothing"),
        ("{{range .Config.Cmd}}x{{else}}empty{{end}}", "empty"),
        ('{{join .Args ","}}', "-c,echo"),
        ("{{.Name | upper}}", "/WEB"),
        ('{{.Args | len}}', "2"),
        ('{{printf "%s:%d" .Name .State.Pid}}', "/web:42"),
        ('{{if and (eq .State.Pid 42) (not .State.Error)}}yes{{end}}', "yes"),
        ("a{{- /* nothing is printed */ -}} b", "ab"),
        ("a {{- .State.Pid -}} b", "a42b"),
        (r"{{.Name}}\t{{.State.Pid}}", "/web\t42"),
        ("{{$x := .State}}{{$x.Pid}}", "42"),
        ('{{truncate .Name 2}}{{title "abc"}}{{lower "ABC"}}', "/wAbc" + "abc"),
        ("{{slice .Name 1}}", "web"),
        ("no action", "no action"),
        ("{{`raw` | json}}", '"raw"'),
        ("{{.}}", None),
    ],
)  # fmt: skip
def test_what_is_printed(template: str, text: str | None) -> None:
    found = expand(template, VALUE)
    assert found == text or text is None


@pytest.mark.parametrize(
    "template",
    [
        "{{.Nothing}}", "{{.Name.Inner}}", "{{.Name", "{{end}}", "{{if .Name}}x", 
        "{{nofunc .Name}}",
        "{{index .Args 9}}", "{{$none}}", "{{(.Name}}", "{{.Name .Args}}", "{{join .Name}}", "{{}}",
        "{{define}}x{{end}}", "{{range .Name}}{{end}}" , "{{%}}",
    ],
)  # fmt: skip
def test_what_is_no_template_says_so(template: str) -> None:
    with pytest.raises(Invalid):
        expand(template, VALUE)


def test_a_function_says_what_it_wants() -> None:
    with pytest.raises(Invalid, match="wrong number of args for json: want 1 got 0"):
        expand("{{json}}", VALUE)


def test_actions_inside_each_other_have_an_end() -> None:
    with pytest.raises(Invalid, match="inside each other"):
        compiled("{{if .Name}}" * 60 + "{{end}}" * 60)


def test_a_table_has_a_heading() -> None:
    rows = [{"Names": "web", "ID": "1"}, {"Names": "longer", "ID": "2"}]
    headings = {"Names": "NAMES", "ID": "CONTAINER ID"}
    assert listed(r"table {{.Names}}\t{{.ID}}", rows, headings) == (
        "NAMES     CONTAINER ID\nweb       1\nlonger    2\n"
    )
    assert listed("table{{.ID}}", rows, headings) == "CONTAINER ID\n1\n2\n"
    assert listed("{{.Names}}", rows, headings) == "web\nlonger\n"
    assert listed("json", rows[:1], headings) == '{"Names":"web","ID":"1"}\n'
