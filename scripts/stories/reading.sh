# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# What of a stamp is not burned is held for who cancels it and who reads the letter. Bob reads, and the node knows, once.

story() {
    local bob
    bob=$(the '.accounts[1].address')

    tell "Bob asks strangers for five units."
    as bob identity new | show
    as bob policy set 'stamp(5)' | show

    tell "Alice pays for two letters."
    as alice identity new | show
    as alice stamps buy --denomination 5 --count 4 | show
    as alice send "$bob" 'First' | tee "$work/first.json" | show
    as alice send "$bob" 'Second' | tee "$work/second.json" | show

    tell "Bob reads. His client tells the node so, in his name, and shows what each letter earned."
    as bob inbox >"$work/inbox.json"
    show <"$work/inbox.json"

    tell "He reads again, and on another machine. Nothing is earned twice."
    as bob inbox | show
    home=bob-again as bob identity restore | show
    home=bob-again as bob inbox >"$work/again.json"
    show <"$work/again.json"

    tell "The node's log has one record of receipts, of both letters."
    as bob receipts >"$work/receipts.json"
    show <"$work/receipts.json"

    jq -cn --slurpfile inbox "$work/inbox.json" --slurpfile again "$work/again.json" \
        --slurpfile receipts "$work/receipts.json" --slurpfile deployment "$(the .deployment)" '
        ($deployment[0].unitPrice | tonumber) as $price
        | ($deployment[0].burnBps / 10000) as $burned
        | {
            letters: ($inbox[0].messages | length),
            units_paid: ($inbox[0].messages | map(.units_paid) | add),
            earned_wei: ($inbox[0].messages | map(.earned.wei | tonumber) | add),
            unburned_wei: (10 * $price * (1 - $burned)),
            records: ($receipts[0].receipts | map(.record) | unique | length),
            receipts: ($receipts[0].receipts | length),
            same_elsewhere: ($again[0].messages | map(.earned) == ($inbox[0].messages | map(.earned)))
        }' >"$work/outcome.json"
    holds '.letters == 2 and .units_paid == 10 and .earned_wei == .unburned_wei and .records == 1 and .receipts == 2
        and .same_elsewhere'
}
