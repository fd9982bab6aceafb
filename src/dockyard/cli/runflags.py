"""Turns the words after ``run`` and ``create`` into checked flags, with Docker's names."""

from __future__ import annotations

from dockyard.cli import lifeflags, limitflags
from dockyard.cli.common import Parser
from dockyard.cli.plainwords import HIDDEN, REST

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


EXAMPLES = {
    "run": """  dockyard run --rm -it alpine sh
  dockyard run -d --name web -p 8080:80 -v data:/usr/share/nginx/html nginx
  dockyard run --rm --rootfs ./tree -m 64m sh -c 'free -m'
  dockyard run --rm --rootfs ./root.tar --network none true
  dockyard run -d --system --name box --rootfs ./debian    # systemd; `attach box` is its console
  dockyard run --rm --explain --rootfs ./tree true         # how a container is made, call by call
  dockyard run --rm --without pid,seccomp --rootfs ./tree ps
""",
    "create": """  dockyard create --name db -v data:/data redis
  dockyard start db
""",
}
NOT_IMPLEMENTED = (
    "--link-local-ip",
    # of containers for Windows, which never start here
    "--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops",
)  # fmt: skip


def parse(verb: str, words: list[str]) -> argparse.Namespace:
    """The flags; ``words`` of the result are IMAGE COMMAND ARG..."""
    parser = declared(verb)
    parser.least = 1
    found = parser.parse_args(words)
    if found.words[:1] == ["--"]:
        del found.words[0]
    if not found.words and not found.rootfs:
        parser.too_few()
    return found


def declared(verb: str) -> Parser:
    parser = Parser(
        verb,
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        "Create and run a new container from an image, a directory or a tar."
        if verb == "run"
        else "Create a new container, and do not start it.",
        EXAMPLES[verb],
    )
    add, flag, many = parser.add_argument, parser.flag, parser.many
    if verb == "run":
        flag("-d", "--detach", help="run in the background and print the ID")
        parser.flag_on("--sig-proxy", help="pass signals on (true)")
        add("--detach-keys", default=None, metavar="KEYS", help="instead of ctrl-p,ctrl-q")
    flag("--rm", help="remove the container when it ends")
    flag("-i", "--interactive", help="keep standard input open")
    flag("-t", "--tty", help="give it a terminal")
    flag("--system", help="boot the root's init as a whole system, with a console")
    add("--name", default="", help="its name")
    add("--rootfs", default="", metavar="DIR|TAR", help="root from a directory or tar, no image")
    add("--cidfile", default="", metavar="FILE", help="write the ID to a new file")
    many("-a", "--attach", metavar="STREAM", help="only stdin, stdout or stderr")
    add("--platform", default="", metavar="OS/ARCH", help="of the image, if not this machine's")
    flag("--disable-content-trust", help=HIDDEN)
    add("--pull", default="missing", metavar="POLICY", help="fetch the image: always, missing or "
        "never")  # fmt: skip
    flag("-q", "--quiet", help="do not show how the image is fetched")
    _process(parser)
    _files(parser)
    _network(parser)
    _limits(parser)
    _confinement(parser)
    _lessons(parser, verb)
    parser.refuse(NOT_IMPLEMENTED)
    add("words", nargs=REST, metavar="IMAGE [COMMAND] [ARG...]")
    return parser


def _process(parser: Parser) -> None:
    add, many, flag = parser.add_argument, parser.many, parser.flag
    many("-e", "--env", metavar="NAME=VALUE", help="a variable; NAME alone takes yours")
    many("--env-file", metavar="FILE", help="variables, one a line")
    add("-w", "--workdir", default="", help="the working directory")
    add("-u", "--user", default="", metavar="USER[:GROUP]", help="who it runs as")
    many("--group-add", metavar="GROUP", help="one more group, by name or number")
    add("--entrypoint", default=None, help="instead of the image's entrypoint")
    many("-l", "--label", metavar="KEY=VALUE", help="a label")
    many("--label-file", metavar="FILE", help="labels, one a line")
    add("--stop-signal", default="", metavar="SIGNAL", help="what `stop` sends (SIGTERM)")
    add("--stop-timeout", type=int, default=None, metavar="SECONDS",
        help="its grace (10; a system's 90)")  # fmt: skip
    flag("--init", help="a first process that passes signals on and reaps")
    many("--ulimit", metavar="NAME=SOFT[:HARD]", help="of each process: nofile=1024:2048")
    many("--annotation", metavar="KEY=VALUE", help="told to the OCI runtime")
    lifeflags.add(parser)


def _files(parser: Parser) -> None:
    add, many, flag = parser.add_argument, parser.many, parser.flag
    many("-v", "--volume", metavar="SOURCE:TARGET[:ro]", help="mount a folder or a named volume")
    many("--mount", metavar="type=...,src=...,dst=...", help="the same, in words")
    many("--tmpfs", metavar="PATH[:OPTIONS]", help="mount a tmpfs")
    many("--volumes-from", metavar="CONTAINER[:ro]", help="what another container has mounted")
    add("--volume-driver", default="", metavar="DRIVER", help="local")
    many("--storage-opt", metavar="OPTION", help=HIDDEN)
    flag("--use-api-socket", help=HIDDEN)
    many("--device", metavar="PATH[:PATH[:rwm]]", help="a device of the host")
    many("--device-cgroup-rule", metavar="RULE", help="devices that may be opened: c 1:3 rwm")
    add("--gpus", default="", metavar="WHICH", help=HIDDEN)
    add("--shm-size", default="", metavar="BYTES", help="size of /dev/shm (64m)")
    flag("--read-only", help="make the root read-only")


def _network(parser: Parser) -> None:
    add, many, flag = parser.add_argument, parser.many, parser.flag
    many("-p", "--publish", metavar="[[IP:]HOST:]PORT[/udp]", help="publish a port")
    flag("-P", "--publish-all", help="publish every exposed port on a free one")
    many("--expose", metavar="PORT[/udp]", help="say that it listens on a port")
    add("--network", "--net", default="bridge", metavar="NAME", dest="network",
        help="a network, none, host, or container:ID")  # fmt: skip
    add("--ip", default="", metavar="IP", help="its address in a network of yours")
    add("--ip6", default="", metavar="IP", help=HIDDEN)
    add("--mac-address", default="", metavar="MAC", help="of its interface")
    many("--network-alias", metavar="NAME", help="one more name in a network of yours")
    many("--link", metavar="CONTAINER[:ALIAS]", help="know another container by name")
    add("-h", "--hostname", default="", help="its host name")
    add("--domainname", default="", help="its NIS domain name")
    many("--add-host", metavar="NAME:IP", help="a line of /etc/hosts")
    many("--dns", metavar="IP", help="a name server")
    many("--dns-search", metavar="DOMAIN", help="a search domain")
    many("--dns-option", metavar="OPTION", help="an option of the resolver")


def _limits(parser: Parser) -> None:
    add = parser.add_argument
    limitflags.add(parser)
    add("--cgroup-parent", default="", metavar="PATH", help="the control group that its lies in")
    add("--kernel-memory", default="", metavar="BYTES", help=HIDDEN)
    add("--memory-swappiness", type=int, default=-1, metavar="N", help="0 to 100")
    parser.flag("--oom-kill-disable", help="stop instead of kill where no memory is left")
    for what in ("read", "write"):
        parser.many(f"--device-{what}-bps", metavar="DEVICE:BYTES", help="a second, at most: 1mb")
        parser.many(f"--device-{what}-iops", metavar="DEVICE:N", help="requests a second, at most")
    parser.many("--blkio-weight-device", metavar="DEVICE:N", help="weight at one device")
    add("--oom-score-adj", type=int, default=None, metavar="N", help="-1000 to 1000")


def _confinement(parser: Parser) -> None:
    add, many, flag = parser.add_argument, parser.many, parser.flag
    flag("--privileged", help="every right; no confinement")
    many("--cap-add", metavar="CAP", help="add a capability, or ALL")
    many("--cap-drop", metavar="CAP", help="drop a capability, or ALL")
    many(
        "--security-opt",
        metavar="OPTION",
        help="seccomp=unconfined, no-new-privileges, systempaths=unconfined",
    )
    many("--sysctl", metavar="NAME=VALUE", help="a kernel setting of its namespaces")
    add("--ipc", default="", metavar="MODE", help="private, none, host, or container:ID")
    add("--pid", default="", metavar="MODE", help="host, or container:ID")
    add("--uts", default="", metavar="MODE", help="host")
    add("--cgroupns", default="", metavar="MODE", help="whose groups it sees: host, private")
    add("--userns", default="", metavar="MODE", help="host")
    add("--isolation", default="", help=HIDDEN)
    add("--runtime", default="", metavar="RUNTIME", help="runc, crun or a path, instead of ours")


def _lessons(parser: Parser, verb: str) -> None:
    if verb == "run":
        # whole words, for an option with a value that may be missing would take the image's name
        parser.add_argument("--explain", "--explain=text", action="store_const", const="text",
                            default="", help="print each kernel call that makes it, and what it "
                            "isolates, to standard error")  # fmt: skip
        parser.add_argument("--explain=full", dest="explain", action="store_const", const="full",
                            help="those too that only prepare others")  # fmt: skip
        parser.add_argument("--explain=json", dest="explain", action="store_const", const="json",
                            help="all of them, one JSON object a line")  # fmt: skip
    parser.many("--without", metavar="WALL,...", help="leave out a wall, to see what it did: "
                "pid, net, mnt, ipc, uts, cgroup, seccomp, caps, devices, masks")  # fmt: skip
