"""``dockyard completion``: the verbs, for a shell's completion."""

from __future__ import annotations

from dockyard.cli import common, main

SCRIPTS = {
    "bash": """_dockyard() {{
  [ "$COMP_CWORD" -eq 1 ] && COMPREPLY=($(compgen -W "{verbs}" -- "${{COMP_WORDS[1]}}"))
}}
complete -o default -F _dockyard dockyard dy
""",
    "zsh": "#compdef dockyard dy\n_arguments '1:command:({verbs})' '*:file:_files'\n",
    "fish": "complete -c dockyard -n __fish_use_subcommand -a '{verbs}'\n",
}


def run(argv: list[str]) -> int:
    """Print the script for one shell."""
    parser = common.Parser(
        "completion", "bash|zsh|fish", "Print a completion script.",
        "  dockyard completion bash > /etc/bash_completion.d/dockyard\n",
    )  # fmt: skip
    parser.add_argument("shell", choices=tuple(SCRIPTS))
    options = parser.parse_args(argv)
    print(SCRIPTS[options.shell].format(verbs=" ".join(main.VERBS)), end="")
    return 0
