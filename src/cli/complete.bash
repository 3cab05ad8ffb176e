
# What the definitions of options do not say: directories for FOLDER, the words of queries, and of SPEC.
_maildex_words() {
    _maildex "$@"
    local cur="$2" word verb="" expects="" values="--index-dir --color" at=0 skip=0 is_query=0 i
    local keys="QUERY KEYS"
    local specs="FLAG SPECS"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ "$word" == "=" ]]; then
            skip=1
        elif ((skip)); then
            skip=0
        elif [[ "$word" == --query ]]; then
            is_query=1
        elif [[ "$word" == -r || "$word" == --root ]] && [[ " $values " == *" --root "* ]]; then
            skip=1 at=$((at + 1)) # in the place of FOLDER
        elif [[ "$word" == -* && " $values " == *" $word "* ]]; then
            skip=1
        elif [[ "$word" == -?* ]] && [[ "$verb" != flag || $at -ne 1 || "$word" == --* ]]; then
            : # an option
        else
            case "${verb:+$verb }$word" in
                # VERBS
                *) at=$((at + 1)) ;;
            esac
        fi
    done
    ((skip)) && return
    if ((is_query)); then
        expects=query
    else
        set -- $expects
        ((at >= $# && $# > 0)) && at=$(($# - 1))
        expects="${@:at+1:1}"
    fi
    [[ "$cur" == -* && "$expects" != spec ]] && return
    case "$expects" in
        folder)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            ;;
        query) mapfile -t COMPREPLY < <(compgen -W "$keys" -- "$cur") ;;
        spec) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$specs" -- "$cur") ;;
        file)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
    esac
}

complete -F _maildex_words -o bashdefault -o default maildex
