"""``dockyard completion``: a script that completes verbs, options and names, for one shell.

Options are read from the verb's own help, and names from ``ps`` and ``images``, so that nothing is
written twice.
"""

from __future__ import annotations

from dockyard.cli import common, main

OF_CONTAINERS = ("attach", "exec", "inspect", "kill", "logs", "pause", "rename", "rm", "start",
                 "stop", "unpause", "wait")  # fmt: skip
OF_IMAGES = ("create", "push", "rmi", "run")
BASH = """_dockyard() {
  local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} found=
  if [ "$COMP_CWORD" -eq 1 ]; then
    found="@VERBS@"
  elif [[ $word == -* ]]; then
    found=$(dockyard "$verb" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)
  else
    case $verb in
      @CONTAINERS@) found=$(dockyard ps -a --format '{{.Names}}' 2>/dev/null) ;;
      @IMAGES@) found=$(dockyard images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null) ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$found" -- "$word"))
}
complete -o default -F _dockyard dockyard dy
"""
ZSH = """#compdef dockyard dy
_dockyard() {
  local -a verbs found
  verbs=(
@DESCRIBED@
  )
  if (( CURRENT == 2 )); then
    _describe command verbs
    return
  fi
  if [[ $words[CURRENT] == -* ]]; then
    found=(${(f)"$(dockyard $words[2] --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)"})
    compadd -a found
    return
  fi
  case $words[2] in
    @CONTAINERS@) found=(${(f)"$(dockyard ps -a --format '{{.Names}}' 2>/dev/null)"}) ;;
    @IMAGES@) found=(${(f)"$(dockyard images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)"}) ;;
  esac
  compadd -a found
  _files
}
compdef _dockyard dockyard dy
"""
FISH = """function __dockyard_options
  set -l words (commandline -opc)
  dockyard $words[2] --help 2>/dev/null | string match -rag -- '--[a-z-]+' | sort -u
end
function __dockyard_wants_option
  not __fish_use_subcommand; and string match -q -- '-*' (commandline -ct)
end
for program in dockyard dy
@DESCRIBED@
  complete -c $program -n __dockyard_wants_option -a '(__dockyard_options)'
  complete -c $program -n '__fish_seen_subcommand_from @CONTAINERS@' \\
    -a '(dockyard ps -a --format "{{.Names}}" 2>/dev/null)'
  complete -c $program -n '__fish_seen_subcommand_from @IMAGES@' \\
    -a '(dockyard images --format "{{.Repository}}:{{.Tag}}" 2>/dev/null)'
end
"""


def run(argv: list[str]) -> int:
    """Print the script for one shell."""
    parser = common.Parser(
        "completion", "bash|zsh|fish", "Print a completion script.",
        "  dockyard completion bash > /etc/bash_completion.d/dockyard\n"
        "  dockyard completion zsh > ~/.zfunc/_dockyard\n"
        "  dockyard completion fish > ~/.config/fish/completions/dockyard.fish\n",
    )  # fmt: skip
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    print(script(parser.parse_args(argv).shell), end="")
    return 0


def script(shell: str) -> str:
    """The text for a shell."""
    between = " " if shell == "fish" else "|"
    text = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]
    values = {
        "@VERBS@": " ".join(main.VERBS),
        "@CONTAINERS@": between.join(OF_CONTAINERS),
        "@IMAGES@": between.join(OF_IMAGES),
        "@DESCRIBED@": "\n".join(_described(shell)),
    }
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


def _described(shell: str) -> list[str]:
    """One line a verb, with its help."""
    if shell == "zsh":
        return [f"    '{verb}:{text}'" for verb, (_, text, _) in main.VERBS.items()]
    return [f"  complete -c $program -f -n __fish_use_subcommand -a {verb} -d '{text}'"
            for verb, (_, text, _) in main.VERBS.items()]  # fmt: skip
