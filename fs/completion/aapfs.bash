# bash completion for aapfs(1). What a mount shows is asked for a second at most: its daemon may be away.

_aapfs_mountpoint() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -m ]] && { printf '%s' "${COMP_WORDS[i + 1]}"; return; }
    done
    printf /run/aap
}

_aapfs_list() {
    timeout 1 ls -- "$1" 2> /dev/null
}

# how many words that are no options stand before the one that is completed, behind the sub-command
_aapfs_words_before() {
    local i count=0
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -m | -c | --config | -o | --region | --state | --state-key | --password-file | --socket | --binds) ((i++)) ;;
            -*) ;;
            *) ((count++)) ;;
        esac
    done
    printf '%d' "$count"
}

_aapfs() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} options= mount aap
    local commands='adopt check create delete export help reload rotate status upgrade version volume-plugin with-mount'
    COMPREPLY=()
    case $before in
        -c | --config | --state-key | --password-file | --socket)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return ;;
        -m | --state | --binds)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return ;;
        -o | --region | --endpoint) return ;;
    esac
    case $command in
        adopt) options='-m --help' ;;
        create | rotate) options='-m --password-file --help' ;;
        check) options='-m -c --config --help' ;;
        delete) options='-m --foreign --help' ;;
        export) options='-c --config --region --state --state-key --help' ;;
        help | version) options='--help' ;;
        reload | upgrade) options='-m --help' ;;
        status) options='-m --json --help' ;;
        volume-plugin) options='--socket --state --binds --help' ;;
        with-mount) options='-o --help' ;;
        *) options='-f -c -o --config --region --endpoint --state --state-key --dev --help --version' ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        return
    fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word"; compgen -d -- "$word")
        return
    fi
    mount=$(_aapfs_mountpoint)
    case $command:$(_aapfs_words_before) in
        adopt:0 | create:0 | rotate:0 | delete:0 | export:0 | status:0)
            mapfile -t COMPREPLY < <(compgen -W "$(_aapfs_list "$mount")" -- "$word") ;;
        delete:1)
            aap=$before
            mapfile -t COMPREPLY < <(compgen -W "$(_aapfs_list "$mount/$aap/keys")" -- "$word") ;;
        adopt:*) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        help:0) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
        help:* | version:* | reload:* | upgrade:* | check:* | status:* | create:* | rotate:* | delete:*) ;;
        *) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    esac
}

complete -o filenames -F _aapfs aapfs
