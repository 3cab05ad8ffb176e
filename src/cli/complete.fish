
# What the definitions of options do not say: directories for FOLDER, the words of queries, and of SPEC.
function __fish_maildex_expects --argument-names what
    set -l words (commandline -opc)
    set -e words[1]
    set -l verb
    set -l expects
    set -l values --index-dir --color
    set -l at 1
    set -l skip 0
    for word in $words
        if test $skip -eq 1
            set skip 0
        else if test "$word" = --query
            test $what = query
            return
        else if contains -- $word -r --root; and contains -- --root $values
            set skip 1
            set at (math $at + 1) # in the place of FOLDER
        else if contains -- $word $values
            set skip 1
        else if string match -qr '^--' -- $word; or string match -qr '^-.' -- $word; and test "$verb $at" != 'flag 2'
        else
            switch (string trim "$verb $word")
                # VERBS
                case '*'
                    set at (math $at + 1)
            end
        end
    end
    test $skip -eq 0 -a (count $expects) -gt 0
    or return
    test $at -gt (count $expects)
    and set at (count $expects)
    test "$expects[$at]" = $what
end

complete -c maildex -n '__fish_maildex_expects folder' -f -a '(__fish_complete_directories)'
complete -c maildex -n '__fish_maildex_expects query' -f -a 'QUERY KEYS'
complete -c maildex -n '__fish_maildex_expects spec' -f -a 'FLAG SPECS'
