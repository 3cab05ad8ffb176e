# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_maildex_global_optspecs
    string join \n q/quiet index-dir= color= h/help V/version
end

function __fish_maildex_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_maildex_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_maildex_using_subcommand
    set -l cmd (__fish_maildex_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c maildex -n "__fish_maildex_needs_command" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_needs_command" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_needs_command" -s V -l version -d 'Print version'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "build" -d 'Make the index of a folder, or bring it up to date'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "list" -d 'List messages, one a line'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "count" -d 'Print how many messages there are'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "stat" -d 'Print what is in a folder: flags, sizes, ages, senders, and what the index costs'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "show" -d 'Print every field that the index has of a message'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "cat" -d 'Print mails as they are'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "flag" -d 'Set and clear flags, in place'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "inc" -d 'Take new mail up: move what is in new/ to cur/'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "changes" -d 'Print what changed since a token'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "replace" -d 'Give a message new contents, from standard input'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "deliver" -d 'Deliver a mail from standard input'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "move" -d 'Move messages to another folder'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "copy" -d 'Copy messages to another folder'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "expunge" -d 'Remove messages, for good'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "dedupe" -d 'Remove mail that is there more than once'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "compact" -d 'Rewrite the index without its dead entries'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "watch" -d 'Keep indexes up to date, and print what happens to the mail'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "check" -d 'Look for damage in the index of a folder, and change nothing'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "repair" -d 'Mend a broken index, and say what was made of what'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "dump" -d 'Print the files of an index as they are, field by field'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "uids" -d 'Keep UIDs safe, and exchange them with Dovecot and Courier'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "lock" -d 'Hold the lock of a folder, ask who has it, get rid of a dead one'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "sync" -d 'Keep a mail root the same on several machines, through git'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "demo" -d 'Make a folder of made-up mail, and show on it what maildex does'
complete -c maildex -n "__fish_maildex_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand build" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand build" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand build" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand build" -l full -d 'List both directories, even if they seem unchanged'
complete -c maildex -n "__fish_maildex_using_subcommand build" -l accept-removals -d 'Believe it when most of the mail is gone at once'
complete -c maildex -n "__fish_maildex_using_subcommand build" -s r -l recursive -d 'Do so with each folder below FOLDER: .Sent.2026 of Maildir++, nested directories'
complete -c maildex -n "__fish_maildex_using_subcommand build" -l json -d 'Print what was done as one JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand build" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l format -d 'Text with fields in braces: \'{uid} {flags} {subject:40}\'' -r
complete -c maildex -n "__fish_maildex_using_subcommand list" -l sort -d 'By what to order; uid unless --threads is given, then date' -r -f -a "uid\t'Order in which the index met them'
date\t'Date: field; time of delivery where there is none'
arrival\t'When the mail was delivered'
size\t'Bytes'
from\t'Name of the sender, or address where there is none'
subject\t'Subject, without Re: and the like'
thread\t'Threads by the date of their first mail'"
complete -c maildex -n "__fish_maildex_using_subcommand list" -l limit -d 'No more than N, from the start' -r
complete -c maildex -n "__fish_maildex_using_subcommand list" -l last -d 'No more than N, from the end' -r
complete -c maildex -n "__fish_maildex_using_subcommand list" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand list" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand list" -s r -l recursive -d 'Do so with each folder below FOLDER: .Sent.2026 of Maildir++, nested directories'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l paths -d 'The path of each message\'s file'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l uids -d 'The UID of each message'
complete -c maildex -n "__fish_maildex_using_subcommand list" -s 0 -l null -d 'End each path, UID or text of a template with a NUL, for xargs -0'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l threads -d 'By threads: each mail below the one that it answers'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l reverse -d 'Order from the other end'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l exit-code -d 'Exit with 1 if there is none'
complete -c maildex -n "__fish_maildex_using_subcommand list" -l no-refresh -d 'Do not look for changes first'
complete -c maildex -n "__fish_maildex_using_subcommand list" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand count" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand count" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand count" -s r -l recursive -d 'Do so with each folder below FOLDER: .Sent.2026 of Maildir++, nested directories'
complete -c maildex -n "__fish_maildex_using_subcommand count" -l no-refresh -d 'Do not look for changes first'
complete -c maildex -n "__fish_maildex_using_subcommand count" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand count" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand stat" -l top -d 'So many senders and messages, no more' -r
complete -c maildex -n "__fish_maildex_using_subcommand stat" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand stat" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand stat" -l json -d 'One JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand stat" -l no-refresh -d 'Do not look for changes first'
complete -c maildex -n "__fish_maildex_using_subcommand stat" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand stat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand show" -s r -l root -d 'Instead of FOLDER: take paths of mails in any folders below ROOT' -r -f -a "(__fish_complete_directories)"
complete -c maildex -n "__fish_maildex_using_subcommand show" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand show" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand show" -s 0 -l null -d 'On standard input each MSG ends with a NUL, as find -print0 has it'
complete -c maildex -n "__fish_maildex_using_subcommand show" -l no-refresh -d 'Do not look for changes first'
complete -c maildex -n "__fish_maildex_using_subcommand show" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand show" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand cat" -s r -l root -d 'Instead of FOLDER: take paths of mails in any folders below ROOT' -r -f -a "(__fish_complete_directories)"
complete -c maildex -n "__fish_maildex_using_subcommand cat" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand cat" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand cat" -s 0 -l null -d 'On standard input each MSG ends with a NUL, as find -print0 has it'
complete -c maildex -n "__fish_maildex_using_subcommand cat" -l no-refresh -d 'Do not look for changes first'
complete -c maildex -n "__fish_maildex_using_subcommand cat" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand cat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l root -d 'In FOLDER\'s place: take paths of mails in any folders below ROOT (-r ROOT)' -r -f -a "(__fish_complete_directories)"
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l query -d 'All messages that match, see maildex help query; comes last and takes all words that follow' -r -f -a "all\t''
answered\t''
bcc\t''
before\t''
body\t''
cc\t''
deleted\t''
draft\t''
flagged\t''
from\t''
header\t''
keyword\t''
larger\t''
messageid\t''
new\t''
not\t''
old\t''
on\t''
or\t''
passed\t''
replied\t''
seen\t''
sentbefore\t''
senton\t''
sentsince\t''
since\t''
smaller\t''
subject\t''
text\t''
thread\t''
to\t''
trashed\t''
uid\t''
unanswered\t''
undeleted\t''
undraft\t''
unflagged\t''
unkeyword\t''
unpassed\t''
unreplied\t''
unseen\t''
untrashed\t''
zero\t''"
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l batch -d 'Read lines of SPEC, blanks and MSG from standard input'
complete -c maildex -n "__fish_maildex_using_subcommand flag" -s 0 -l null -d 'On standard input each MSG, or each SPEC and MSG, ends with a NUL'
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l dry-run -d 'Change nothing, and print what the names would be'
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand flag" -l help -d 'Print help'
complete -c maildex -n "__fish_maildex_using_subcommand inc" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand inc" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand inc" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand inc" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand inc" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand inc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand changes" -l since -d 'Print what changed since this token; 0 for everything that there is' -r
complete -c maildex -n "__fish_maildex_using_subcommand changes" -l state -d 'Keep the token in this file, and write the new one when everything has been printed. Where there is no such file yet, all messages are new' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand changes" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand changes" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand changes" -l json -d 'One JSON object an event'
complete -c maildex -n "__fish_maildex_using_subcommand changes" -l no-refresh -d 'Do not look for changes first'
complete -c maildex -n "__fish_maildex_using_subcommand changes" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand changes" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand replace" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand replace" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand replace" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand replace" -l json -d 'One JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand replace" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand replace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand deliver" -l flags -d 'Flags that the mail is to have: letters of DFPRST, or a to z for keywords' -r
complete -c maildex -n "__fish_maildex_using_subcommand deliver" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand deliver" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand deliver" -l json -d 'One JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand deliver" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand deliver" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand move" -l query -d 'All messages that match; comes last and takes all words that follow' -r -f -a "all\t''
answered\t''
bcc\t''
before\t''
body\t''
cc\t''
deleted\t''
draft\t''
flagged\t''
from\t''
header\t''
keyword\t''
larger\t''
messageid\t''
new\t''
not\t''
old\t''
on\t''
or\t''
passed\t''
replied\t''
seen\t''
sentbefore\t''
senton\t''
sentsince\t''
since\t''
smaller\t''
subject\t''
text\t''
thread\t''
to\t''
trashed\t''
uid\t''
unanswered\t''
undeleted\t''
undraft\t''
unflagged\t''
unkeyword\t''
unpassed\t''
unreplied\t''
unseen\t''
untrashed\t''
zero\t''"
complete -c maildex -n "__fish_maildex_using_subcommand move" -s r -l root -d 'In FOLDER\'s place: take paths of mails in any folders below ROOT' -r -f -a "(__fish_complete_directories)"
complete -c maildex -n "__fish_maildex_using_subcommand move" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand move" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand move" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand move" -l create -d 'Make DEST if it is not there'
complete -c maildex -n "__fish_maildex_using_subcommand move" -s 0 -l null -d 'On standard input each MSG ends with a NUL'
complete -c maildex -n "__fish_maildex_using_subcommand move" -l dry-run -d 'Change nothing, and print what would be done'
complete -c maildex -n "__fish_maildex_using_subcommand move" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand move" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand move" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand copy" -l query -d 'All messages that match; comes last and takes all words that follow' -r -f -a "all\t''
answered\t''
bcc\t''
before\t''
body\t''
cc\t''
deleted\t''
draft\t''
flagged\t''
from\t''
header\t''
keyword\t''
larger\t''
messageid\t''
new\t''
not\t''
old\t''
on\t''
or\t''
passed\t''
replied\t''
seen\t''
sentbefore\t''
senton\t''
sentsince\t''
since\t''
smaller\t''
subject\t''
text\t''
thread\t''
to\t''
trashed\t''
uid\t''
unanswered\t''
undeleted\t''
undraft\t''
unflagged\t''
unkeyword\t''
unpassed\t''
unreplied\t''
unseen\t''
untrashed\t''
zero\t''"
complete -c maildex -n "__fish_maildex_using_subcommand copy" -s r -l root -d 'In FOLDER\'s place: take paths of mails in any folders below ROOT' -r -f -a "(__fish_complete_directories)"
complete -c maildex -n "__fish_maildex_using_subcommand copy" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand copy" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand copy" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand copy" -l create -d 'Make DEST if it is not there'
complete -c maildex -n "__fish_maildex_using_subcommand copy" -s 0 -l null -d 'On standard input each MSG ends with a NUL'
complete -c maildex -n "__fish_maildex_using_subcommand copy" -l dry-run -d 'Change nothing, and print what would be done'
complete -c maildex -n "__fish_maildex_using_subcommand copy" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand copy" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand copy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l query -d 'All messages that match; comes last and takes all words that follow' -r -f -a "all\t''
answered\t''
bcc\t''
before\t''
body\t''
cc\t''
deleted\t''
draft\t''
flagged\t''
from\t''
header\t''
keyword\t''
larger\t''
messageid\t''
new\t''
not\t''
old\t''
on\t''
or\t''
passed\t''
replied\t''
seen\t''
sentbefore\t''
senton\t''
sentsince\t''
since\t''
smaller\t''
subject\t''
text\t''
thread\t''
to\t''
trashed\t''
uid\t''
unanswered\t''
undeleted\t''
undraft\t''
unflagged\t''
unkeyword\t''
unpassed\t''
unreplied\t''
unseen\t''
untrashed\t''
zero\t''"
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l trash -d 'Move them to this folder instead' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -s r -l root -d 'In FOLDER\'s place: take paths of mails in any folders below ROOT' -r -f -a "(__fish_complete_directories)"
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l trashed -d 'Those with the flag T, as for --query deleted'
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l create -d 'Make the folder of --trash if it is not there'
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -s 0 -l null -d 'On standard input each MSG ends with a NUL'
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l dry-run -d 'Change nothing, and print what would be removed'
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand expunge" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l by -d 'What makes mails the same' -r -f -a "content\t'Every byte is equal'
message-id\t'The Message-ID is equal; the rest may be anything, such as what a mailing list adds'"
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l trash -d 'Move them to this folder instead' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l create -d 'Make the folder of --trash if it is not there'
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l dry-run -d 'Change nothing, and print what would be removed'
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -l json -d 'One JSON object a message'
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand dedupe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand compact" -l if-dead -d 'Do nothing unless this share of the index is dead' -r
complete -c maildex -n "__fish_maildex_using_subcommand compact" -l wait -d 'How long to wait for the lock, and how long for others to close: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand compact" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand compact" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand compact" -l force -d 'Go on even if others have not closed: they find the new files by themselves'
complete -c maildex -n "__fish_maildex_using_subcommand compact" -s r -l recursive -d 'Do so with each folder below FOLDER: .Sent.2026 of Maildir++, nested directories'
complete -c maildex -n "__fish_maildex_using_subcommand compact" -l json -d 'Print what was done as one JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand compact" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand compact" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l since -d 'Begin with what changed since this token; of several folders each can have one. 0 for everything that there is' -r
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l exec -d 'Run this with sh for each event, before it is printed, with MAILDEX_EVENT, MAILDEX_FOLDER, MAILDEX_UID, MAILDEX_WAS_UID, MAILDEX_DIR, MAILDEX_FLAGS, MAILDEX_PATH and MAILDEX_TOKEN in its environment. What it prints goes to standard error' -r
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l sync-every -d 'How often sync is to ask others if nothing happens here: 1, 30s, 5m' -r
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand watch" -s r -l recursive -d 'Do so with each folder below FOLDER: .Sent.2026 of Maildir++, nested directories'
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l once -d 'End when something has happened and was printed'
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l sync -d 'Watch a mail root with all folders below, and run sync run whenever something happened, and now and then'
complete -c maildex -n "__fish_maildex_using_subcommand watch" -l json -d 'One JSON object an event'
complete -c maildex -n "__fish_maildex_using_subcommand watch" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand check" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand check" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand check" -s r -l recursive -d 'Do so with each folder below FOLDER: .Sent.2026 of Maildir++, nested directories'
complete -c maildex -n "__fish_maildex_using_subcommand check" -l deep -d 'Read every mail again, and compare it with what the index has'
complete -c maildex -n "__fish_maildex_using_subcommand check" -l json -d 'One JSON object for each finding, and one for each folder'
complete -c maildex -n "__fish_maildex_using_subcommand check" -s v -l verbose -d 'Print details, too: how far the index is behind, who has the lock, on what file system it is; and every note'
complete -c maildex -n "__fish_maildex_using_subcommand check" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand repair" -s n -l dry-run -d 'Only say what would be done'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l new-uidvalidity -d 'Begin anew if nothing proves which UIDs were given out: all mail gets new UIDs, and the folder a new UIDVALIDITY, which tells everybody to forget the old ones'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l normalise-names -d 'Change names of mail: of two files with one base name the one that is not indexed gets a new one; flag letters are put in order'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l accept-removals -d 'Believe it when most of the mail is gone at once'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l with-dovecot -d 'Keep Dovecot away meanwhile: hold its dovecot-uidlist.lock'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -l json -d 'One JSON object for each thing that was wrong, and one for the folder'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand dump" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand dump" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand dump" -l header -d 'The headers of both files'
complete -c maildex -n "__fish_maildex_using_subcommand dump" -l blocks -d 'The blocks of the offsets file, slot by slot'
complete -c maildex -n "__fish_maildex_using_subcommand dump" -l entries -d 'The entries of the index file'
complete -c maildex -n "__fish_maildex_using_subcommand dump" -l json -d 'One JSON object a field'
complete -c maildex -n "__fish_maildex_using_subcommand dump" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -f -a "status" -d 'Say how the UIDs of a folder stand'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -f -a "export" -d 'Write down which UID is which mail\'s'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -f -a "import" -d 'Take up which UID is which mail\'s, from a list'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and not __fish_seen_subcommand_from status export import help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from status" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from status" -l no-refresh -d 'Do not look for changes first'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from status" -l json -d 'Print it as one JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from export" -l format -d 'How; if not given FILE says it by its name, else tsv' -r -f -a "tsv\t'A line for each message, UID and base name, that any bytes survive: for back-ups'
dovecot\t'dovecot-uidlist, version 3'
courier\t'courierimapuiddb, version 1'"
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from export" -l wait -d 'How long to wait for the lock of Dovecot or Courier: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from export" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from export" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -l format -d 'How it is written; if not given its first line says it' -r -f -a "tsv\t'A line for each message, UID and base name, that any bytes survive: for back-ups'
dovecot\t'dovecot-uidlist, version 3'
courier\t'courierimapuiddb, version 1'"
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -l skip -d 'Give out so many numbers less: those that may have been given out since the list was made' -r
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -l dry-run -d 'Say what would be done, and do nothing'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say how the UIDs of a folder stand'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write down which UID is which mail\'s'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from help" -f -a "import" -d 'Take up which UID is which mail\'s, from a list'
complete -c maildex -n "__fish_maildex_using_subcommand uids; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -f -a "run" -d 'Run a command that holds the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -f -a "acquire" -d 'Take the lock of a folder for a shell, and print its id'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -f -a "release" -d 'Let go of a lock that `lock acquire` took'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -f -a "status" -d 'Say who holds the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -f -a "wanted" -d 'Ask whether somebody waits for the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -f -a "break" -d 'Remove the lockfile that a dead holder left'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and not __fish_seen_subcommand_from run acquire release status wanted break help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -l reason -d 'Why, shown to others who want the lock' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -l on-request -d 'Send this signal when somebody asks for the lock: TERM, USR1, ...' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -s E -l conflict-exit-code -d 'Exit status if the lock is not to be had. With 0 that is no error, and with --quiet nothing is said' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -l with-dovecot -d 'Keep Dovecot away, too: hold its dovecot-uidlist.lock'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -l close -d 'COMMAND does not inherit the lock: it then ends with this process'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -l reason -d 'Why, shown to others who want the lock' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -l on-request -d 'Send this signal when somebody asks for the lock: TERM, USR1, ...' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -l pid -d 'The process that the lock is for; if not given the one that runs this, if that is a shell' -r
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -l with-dovecot -d 'Keep Dovecot away, too: hold its dovecot-uidlist.lock'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from acquire" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from release" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from release" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from release" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from status" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from status" -l json -d 'Print it as one JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from wanted" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from wanted" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from wanted" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from wanted" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from break" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from break" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from break" -l if-stale -d 'Leave a lock that is held alone, without a word and with exit status 0'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from break" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from break" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run a command that holds the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from help" -f -a "acquire" -d 'Take the lock of a folder for a shell, and print its id'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from help" -f -a "release" -d 'Let go of a lock that `lock acquire` took'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say who holds the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from help" -f -a "wanted" -d 'Ask whether somebody waits for the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from help" -f -a "break" -d 'Remove the lockfile that a dead holder left'
complete -c maildex -n "__fish_maildex_using_subcommand lock; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "init" -d 'Make a replica of a mail root'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "add-peer" -d 'Say with which repository to exchange what happens'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "run" -d 'Exchange with the others what happened, once'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "status" -d 'Say how it stands with a replica'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "undelete" -d 'Put mail back that another replica has removed'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "cut" -d 'Let go of history that every replica has heard, and of mail that was expunged'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "forget" -d 'Wait no longer for a replica that will not come back'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and not __fish_seen_subcommand_from init add-peer run status undelete cut forget help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from init" -l repo -d 'Where to make the repository' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from init" -l name -d 'What to call this replica; if not given, as the host is called' -r
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from init" -l trash-days -d 'How many days mail that others have removed is kept; 30 if it was never said' -r
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from init" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from init" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from add-peer" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from add-peer" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from add-peer" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from add-peer" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l same-content -d 'What mail is that has another name elsewhere, and the same contents, where two mail roots meet for the first time' -r -f -a "join\t'One mail: the smaller name wins, flags are united'
keep\t'Two mails'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l timeout -d 'How long a peer may be silent before it is given up: 30, 2m, 1h, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l pull-only -d 'Do what the others say, and tell them nothing'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l accept-removals -d 'Believe it when most of the mail of a folder is gone at once, here or elsewhere'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l no-uids -d 'Neither tell nor take UIDs: each machine has its own'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -l json -d 'Print what was done as one JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from status" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from status" -l trash -d 'List the mail that others have removed: its id, and the folder and name that it had'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from status" -l json -d 'Print it as one JSON object'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from undelete" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from undelete" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from undelete" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from undelete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from cut" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from cut" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from cut" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from cut" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from forget" -l timeout -d 'How long a peer may be silent before it is given up: 30, 2m, 1h, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from forget" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from forget" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from forget" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "init" -d 'Make a replica of a mail root'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "add-peer" -d 'Say with which repository to exchange what happens'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "run" -d 'Exchange with the others what happened, once'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say how it stands with a replica'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "undelete" -d 'Put mail back that another replica has removed'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "cut" -d 'Let go of history that every replica has heard, and of mail that was expunged'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Wait no longer for a replica that will not come back'
complete -c maildex -n "__fish_maildex_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand demo" -l messages -d 'How many messages, up to a million' -r
complete -c maildex -n "__fish_maildex_using_subcommand demo" -l wait -d 'How long to wait for the lock: 0, 0.5, 2m, forever' -r
complete -c maildex -n "__fish_maildex_using_subcommand demo" -l index-dir -d 'Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail' -r -F
complete -c maildex -n "__fish_maildex_using_subcommand demo" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also in a pipe, with columns as on a terminal: for less -R'
never\t'Not at all'"
complete -c maildex -n "__fish_maildex_using_subcommand demo" -s q -l quiet -d 'Print results and errors only'
complete -c maildex -n "__fish_maildex_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "build" -d 'Make the index of a folder, or bring it up to date'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "list" -d 'List messages, one a line'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "count" -d 'Print how many messages there are'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "stat" -d 'Print what is in a folder: flags, sizes, ages, senders, and what the index costs'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "show" -d 'Print every field that the index has of a message'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "cat" -d 'Print mails as they are'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "flag" -d 'Set and clear flags, in place'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "inc" -d 'Take new mail up: move what is in new/ to cur/'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "changes" -d 'Print what changed since a token'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "replace" -d 'Give a message new contents, from standard input'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "deliver" -d 'Deliver a mail from standard input'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "move" -d 'Move messages to another folder'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "copy" -d 'Copy messages to another folder'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "expunge" -d 'Remove messages, for good'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "dedupe" -d 'Remove mail that is there more than once'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "compact" -d 'Rewrite the index without its dead entries'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "watch" -d 'Keep indexes up to date, and print what happens to the mail'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "check" -d 'Look for damage in the index of a folder, and change nothing'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "repair" -d 'Mend a broken index, and say what was made of what'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "dump" -d 'Print the files of an index as they are, field by field'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "uids" -d 'Keep UIDs safe, and exchange them with Dovecot and Courier'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "lock" -d 'Hold the lock of a folder, ask who has it, get rid of a dead one'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "sync" -d 'Keep a mail root the same on several machines, through git'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "demo" -d 'Make a folder of made-up mail, and show on it what maildex does'
complete -c maildex -n "__fish_maildex_using_subcommand help; and not __fish_seen_subcommand_from build list count stat show cat flag inc changes replace deliver move copy expunge dedupe compact watch check repair dump uids lock sync demo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from uids" -f -a "status" -d 'Say how the UIDs of a folder stand'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from uids" -f -a "export" -d 'Write down which UID is which mail\'s'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from uids" -f -a "import" -d 'Take up which UID is which mail\'s, from a list'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from lock" -f -a "run" -d 'Run a command that holds the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from lock" -f -a "acquire" -d 'Take the lock of a folder for a shell, and print its id'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from lock" -f -a "release" -d 'Let go of a lock that `lock acquire` took'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from lock" -f -a "status" -d 'Say who holds the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from lock" -f -a "wanted" -d 'Ask whether somebody waits for the lock of a folder'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from lock" -f -a "break" -d 'Remove the lockfile that a dead holder left'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "init" -d 'Make a replica of a mail root'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "add-peer" -d 'Say with which repository to exchange what happens'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "run" -d 'Exchange with the others what happened, once'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "status" -d 'Say how it stands with a replica'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "undelete" -d 'Put mail back that another replica has removed'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "cut" -d 'Let go of history that every replica has heard, and of mail that was expunged'
complete -c maildex -n "__fish_maildex_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "forget" -d 'Wait no longer for a replica that will not come back'

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
                case 'build'
                    set verb build
                    set expects folder other
                    set values --wait --index-dir --color
                case 'list'
                    set verb list
                    set expects folder query
                    set values --format --sort --limit --last --index-dir --color
                case 'count'
                    set verb count
                    set expects folder query
                    set values --index-dir --color
                case 'stat'
                    set verb stat
                    set expects folder other
                    set values --top --index-dir --color
                case 'show'
                    set verb show
                    set expects folder file
                    set values --root -r --index-dir --color
                case 'cat'
                    set verb cat
                    set expects folder file
                    set values --root -r --index-dir --color
                case 'flag'
                    set verb flag
                    set expects folder spec file
                    set values --root --query --wait --index-dir --color
                case 'inc'
                    set verb inc
                    set expects folder other
                    set values --wait --index-dir --color
                case 'changes'
                    set verb changes
                    set expects folder other
                    set values --since --state --index-dir --color
                case 'replace'
                    set verb replace
                    set expects folder other
                    set values --wait --index-dir --color
                case 'deliver'
                    set verb deliver
                    set expects folder other
                    set values --flags --index-dir --color
                case 'move'
                    set verb move
                    set expects folder folder file
                    set values --query --root -r --wait --index-dir --color
                case 'copy'
                    set verb copy
                    set expects folder folder file
                    set values --query --root -r --wait --index-dir --color
                case 'expunge'
                    set verb expunge
                    set expects folder file
                    set values --query --trash --root -r --wait --index-dir --color
                case 'dedupe'
                    set verb dedupe
                    set expects folder
                    set values --by --trash --wait --index-dir --color
                case 'compact'
                    set verb compact
                    set expects folder other
                    set values --if-dead --wait --index-dir --color
                case 'watch'
                    set verb watch
                    set expects folder
                    set values --since --exec --sync-every --index-dir --color
                case 'check'
                    set verb check
                    set expects folder
                    set values --index-dir --color
                case 'repair'
                    set verb repair
                    set expects folder other
                    set values --wait --index-dir --color
                case 'dump'
                    set verb dump
                    set expects folder other
                    set values --index-dir --color
                case 'uids'
                    set verb uids
                    set expects other
                    set values --index-dir --color
                case 'uids status'
                    set verb uids status
                    set expects folder other
                    set values --index-dir --color
                case 'uids export'
                    set verb uids export
                    set expects folder other
                    set values --format --wait --index-dir --color
                case 'uids import'
                    set verb uids import
                    set expects folder other
                    set values --format --skip --wait --index-dir --color
                case 'lock'
                    set verb lock
                    set expects other
                    set values --index-dir --color
                case 'lock run'
                    set verb lock run
                    set expects folder other
                    set values --wait --reason --on-request --conflict-exit-code -E --index-dir --color
                case 'lock acquire'
                    set verb lock acquire
                    set expects folder other
                    set values --wait --reason --on-request --pid --index-dir --color
                case 'lock release'
                    set verb lock release
                    set expects folder other
                    set values --index-dir --color
                case 'lock status'
                    set verb lock status
                    set expects folder other
                    set values --index-dir --color
                case 'lock wanted'
                    set verb lock wanted
                    set expects folder other
                    set values --index-dir --color
                case 'lock break'
                    set verb lock break
                    set expects folder other
                    set values --index-dir --color
                case 'sync'
                    set verb sync
                    set expects other
                    set values --index-dir --color
                case 'sync init'
                    set verb sync init
                    set expects folder other
                    set values --repo --name --trash-days --index-dir --color
                case 'sync add-peer'
                    set verb sync add-peer
                    set expects folder other
                    set values --index-dir --color
                case 'sync run'
                    set verb sync run
                    set expects folder other
                    set values --same-content --timeout --wait --index-dir --color
                case 'sync status'
                    set verb sync status
                    set expects folder other
                    set values --index-dir --color
                case 'sync undelete'
                    set verb sync undelete
                    set expects folder file
                    set values --index-dir --color
                case 'sync cut'
                    set verb sync cut
                    set expects folder other
                    set values --index-dir --color
                case 'sync forget'
                    set verb sync forget
                    set expects folder other
                    set values --timeout --index-dir --color
                case 'demo'
                    set verb demo
                    set expects folder other
                    set values --messages --wait --index-dir --color
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
complete -c maildex -n '__fish_maildex_expects query' -f -a 'all answered bcc before body cc deleted draft flagged from header keyword larger messageid new not old on or passed replied seen sentbefore senton sentsince since smaller subject text thread to trashed uid unanswered undeleted undraft unflagged unkeyword unpassed unreplied unseen untrashed zero'
complete -c maildex -n '__fish_maildex_expects spec' -f -a '+S -S +seen -seen +F -F +flagged -flagged +R -R +answered -answered +T -T +trashed -trashed +D -D +draft -draft +P -P +passed -passed'
