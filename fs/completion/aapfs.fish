# fish completion for aapfs(1). What a mount shows is asked for a second at most: its daemon may be away.

set -l commands adopt check create delete export help reload rotate status upgrade version volume-plugin with-mount

function __aapfs_mountpoint
    set -l words (commandline -opc)
    set -l at (contains -i -- -m $words)
    and test (count $words) -gt $at
    and echo $words[(math $at + 1)]
    or echo /run/aap
end

function __aapfs_aaps
    timeout 1 ls -- (__aapfs_mountpoint) 2>/dev/null
end

complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a adopt -d 'Give a key that was made elsewhere to a mount'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a check -d 'Whether what a mount needs is there'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a create -d 'Make a client key'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a delete -d 'Delete a client key in KMS'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a export -d 'The keys as files, from the store alone'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a help -d 'How a command is called'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a reload -d 'Have a mount read its configuration again'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a rotate -d 'Make a client key in the place of the current one'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a status -d 'A table of the AAPs'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a upgrade -d 'Have the installed program take over a mount'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a version -d 'The version'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a volume-plugin -d 'Volumes for Docker and podman'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -a with-mount -d 'Mount for a daemon without privilege'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -s f -d 'Stay in the foreground'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -s o -x -d 'Mount options'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -l endpoint -x -d URL
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -l dev -d 'A KMS of its own'
complete -c aapfs -l help -d 'How it is called'
complete -c aapfs -n "not __fish_seen_subcommand_from $commands" -l version
complete -c aapfs -n "not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from check export" -s c -l config -r -d Configuration
complete -c aapfs -n "not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from export" -l region -x -d Region
complete -c aapfs -n "not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from export volume-plugin" -l state -r -d State
complete -c aapfs -n "not __fish_seen_subcommand_from $commands; or __fish_seen_subcommand_from export" -l state-key -r -d 'State key'
complete -c aapfs -n "__fish_seen_subcommand_from adopt check create delete reload rotate status upgrade" -s m -r -d 'The mount'
complete -c aapfs -n "__fish_seen_subcommand_from create rotate" -l password-file -r -d 'Read the password from it'
complete -c aapfs -n "__fish_seen_subcommand_from delete" -l foreign -d 'A key made elsewhere'
complete -c aapfs -n "__fish_seen_subcommand_from status" -l json -d 'As JSON'
complete -c aapfs -n "__fish_seen_subcommand_from adopt create delete export rotate status" -a '(__aapfs_aaps)' -d AAP
complete -c aapfs -n "__fish_seen_subcommand_from help" -a "$commands" -d Command
complete -c aapfs -n "__fish_seen_subcommand_from volume-plugin" -l socket -r -d 'Where the plugin listens'
complete -c aapfs -n "__fish_seen_subcommand_from volume-plugin" -l binds -r -d 'Where runtimes find the volumes'
complete -c aapfs -n "__fish_seen_subcommand_from with-mount" -s o -x -d 'Mount options'
