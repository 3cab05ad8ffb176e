# Hands each new mail to `take`. Nothing is missed; what was in hand when it was killed comes again.
inbox=$HOME/Maildir state=$HOME/.inbox.token
keep() { printf '%s\n' "$1" > "$state.new" && mv "$state.new" "$state"; }

# The first time: all mail. For that which comes from now on: keep "$(maildex changes "$inbox")"
[ -s "$state" ] || keep 0
maildex changes "$inbox" --since "$(cat "$state")" > "$state.events"
case $? in
0 | 4) ;;
5) keep 0 && exit 5 ;; # nobody knows what changed since (it says why): all mail once more
*) exit 1 ;;
esac
while IFS=$(printf '\t') read -r event uid was_uid dir flags path token; do
    if [ "$event" = added ]; then
        maildex cat "$inbox" "$uid" > "$state.mail"
        case $? in
        0) take "$uid" < "$state.mail" || exit 1 ;;
        4) ;; # gone already, or it cannot be read: then it is added once more when it can
        *) exit 1 ;;
        esac
    fi
    keep "$token"
done < "$state.events"
