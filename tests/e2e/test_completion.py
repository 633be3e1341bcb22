"""Completion in bash, zsh and fish: as each shell does it, with a mount where one is needed."""
import os
import re
import subprocess

import pytest

from parts.harness import PASSWORD, ROOT, run_aapfs
from parts.shell import needs, sh
from parts.usage import WORDS, usages

COMPLETION = ROOT / "fs" / "completion"


def options_of_commands():
    """{sub-command, or "" for the mount: its options}, from --help; --config is the long name of -c."""
    usage = run_aapfs("--help", check=True).stdout
    found = {}
    for line in re.sub(r"\n {8,}(?!aapfs)", " ", usage).splitlines():
        words = re.match(r"(?:usage:)? +aapfs(?: ([a-z|-]+))?(?: |$)(.*)", line)
        if not words:
            continue
        options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", line))
        for command in (words[1] or "").split("|") if not (words[1] or "").startswith("-") else [""]:
            found.setdefault(command, set()).update(options | ({"--config"} if "-c" in options else set()))
    return {command: options | {"--help"} for command, options in found.items()}


def complete_in_bash(*words):
    words = " ".join(f"'{word}'" for word in words)
    script = (f". {COMPLETION}/aapfs.bash; COMP_WORDS=(aapfs {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _aapfs; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return sh(script, cwd="/").split()


def test_bash_completes(mount):
    mount.write("payments", PASSWORD)
    assert set(WORDS) <= set(complete_in_bash(""))
    assert complete_in_bash("sta") == ["status"]
    assert complete_in_bash("create", "-m", mount.path, "") == ["orders", "payments"]
    assert complete_in_bash("create", "-m", mount.path, "p") == ["payments"]
    assert complete_in_bash("help", "st") == ["status"]
    assert complete_in_bash("delete", "-m", mount.path, "payments", "K") == [mount.key_id()]
    assert complete_in_bash("delete", "--f") == ["--foreign"]
    assert "--state-key" in complete_in_bash("--")
    assert complete_in_bash("status", "-m", "/etc/aapf-nowhere", "") == []
    assert complete_in_bash("create", "-m", mount.path, "payments", "") == []
    assert "/etc/" in [word + "/" for word in complete_in_bash("-m", "/et")]


def test_each_completion_knows_every_sub_command():
    commands = usages()
    for name in ("aapfs.bash", "_aapfs", "aapfs.fish"):
        missing = [word for word in commands if not re.search(rf"\b{word}\b", (COMPLETION / name).read_text())]
        assert not missing, name


def complete_in_fish(home, *lines):
    """What is offered at the end of each line."""
    commands = "; echo =; ".join(f'complete -C "{line}"' for line in lines)
    found = sh(f"HOME={home} fish --no-config -c 'source {COMPLETION}/aapfs.fish; {commands}' 2>/dev/null")
    return [{line.split("\t")[0] for line in part.splitlines()} for part in re.split("^=\n", found, flags=re.M)]


@needs("fish")
def test_fish_completes(mount, tmp_path):
    sh(f"fish -n {COMPLETION}/aapfs.fish")
    mount.write("payments", PASSWORD)
    commands, aaps = complete_in_fish(tmp_path, "aapfs ", f"aapfs create -m {mount.path} ")
    assert set(WORDS) <= commands and {"payments", "orders"} <= aaps


# a shell at a terminal, which writes what is offered at the first TAB into a file, and ends
ZSH_SHELL = r"""
PROMPT=
fpath=($COMPLETION $fpath)
autoload -Uz compinit
compinit -u -d $HOME/dump
bindkey '^I' complete-word
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a hits
        builtin compadd -A hits "$@"
        print -rl -- "${hits[@]}" >> $HOME/offered
    fi
    builtin compadd "$@"
}
comppostfuncs=(exit)
print ready
"""
ZSH_TERMINAL = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source $HOME/shell.zsh"
while zpty -r shell said && [[ $said != ready* ]]; do :; done
zpty -w -n shell "$1"$'\t'
while zpty -r shell said; do :; done
"""


def complete_in_zsh(home, line):
    (home / "shell.zsh").write_text(ZSH_SHELL)
    (home / "offered").write_text("")
    subprocess.run(["zsh", "-fc", ZSH_TERMINAL, "zsh", line], stdin=subprocess.DEVNULL, timeout=60, check=True, cwd="/",
                   env={"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "COMPLETION": str(COMPLETION)})
    return set((home / "offered").read_text().split())


@pytest.mark.full
@needs("zsh")
def test_zsh_completes(mount, tmp_path):
    mount.write("payments", PASSWORD)
    assert set(WORDS) <= complete_in_zsh(tmp_path, "aapfs ")
    assert complete_in_zsh(tmp_path, f"aapfs create -m {mount.path} ") == {"payments", "orders"}
    assert complete_in_zsh(tmp_path, f"aapfs delete -m {mount.path} payments ") == {mount.key_id()}


def offered_by_bash(home, commands):
    return [set(complete_in_bash(*command.split(), "-")) | set(complete_in_bash(*command.split(), "--")) for command in commands]


def offered_by_zsh(home, commands):
    return [complete_in_zsh(home, f"aapfs {command} -".replace("  ", " ")) for command in commands]


def offered_by_fish(home, commands):
    return complete_in_fish(home, *(f"aapfs {command} -".replace("  ", " ") for command in commands))


@pytest.mark.parametrize("offered", [offered_by_bash, pytest.param(offered_by_zsh, marks=[pytest.mark.full, needs("zsh")]),
                                     pytest.param(offered_by_fish, marks=needs("fish"))])
def test_each_option_of_each_sub_command_is_offered(tmp_path, offered):
    options = options_of_commands()
    assert len(options) == 14 and options["check"] == {"-c", "--config", "-m", "--help"} and "--dev" in options[""]
    for (command, wanted), found in zip(options.items(), offered(tmp_path, options)):
        assert wanted <= found, f"aapfs {command}: not offered: {wanted - found}"
