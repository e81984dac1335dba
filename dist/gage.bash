# Completion of the gage command for bash: commands and options as the installed gage itself lists them.
_gage() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(gage --help 2>/dev/null | sed -n 's/^  \([a-z]*\)\( .*\)\?$/\1/p') --help --version" -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(gage "$command" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')" -- "$word")
    elif [[ $command == show || $command == cancel || $command == resume ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(gage list 2>/dev/null | sed -n 's/^\([0-9a-f]\{8\}\)  .*/\1/p')" -- "$word")
    fi
}
complete -o default -F _gage gage
