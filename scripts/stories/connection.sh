# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# Bob wants postage from strangers. Alice pays once; he accepts her, and from then on she writes for nothing, from any of her
# machines, until he takes his word back.

story() {
    local alice bob
    alice=$(the '.accounts[0].address')
    bob=$(the '.accounts[1].address')

    tell "Bob makes an identity. Who was accepted may write, and who pays five units: \`priced\`."
    as bob identity new | show
    as bob policy set priced | tee "$work/policy.json" | show

    tell "Alice makes one too, buys stamps, and knocks. Her client says why it pays."
    as alice identity new | show
    as alice stamps buy --denomination 5 --count 8 | show
    as alice send "$bob" 'Dear Bob, may I write to you?' --explain >"$work/request.json"
    show <"$work/request.json"

    tell "Bob reads her letter, sees who asks, and accepts: three letters a day."
    as bob inbox | show
    as bob connections >"$work/requests.json"
    show <"$work/requests.json"
    as bob accept "$alice" --quota 3 >"$work/accepted.json"
    show <"$work/accepted.json"

    tell "Alice finds the attestation in the conversation. Her next letter costs nothing, and its reason has changed."
    as alice inbox >"$work/read.json"
    as alice stamps list >"$work/before.json"
    as alice send "$bob" 'Dear Bob, thank you.' --explain >"$work/free.json"
    show <"$work/free.json"

    tell "A second machine of hers, restored from the wallet, writes under the same connection."
    as alice sync | show
    home=alice-again as alice identity restore | show
    home=alice-again as alice sync | show
    home=alice-again as alice send "$bob" 'From the other machine.' >"$work/elsewhere.json"
    show <"$work/elsewhere.json"
    as alice stamps list >"$work/after.json"

    tell "Bob takes his word back. From then on she pays as strangers do."
    as bob revoke "$alice" | show
    as alice send "$bob" 'And now?' >"$work/revoked.json"
    show <"$work/revoked.json"

    jq -cn --slurpfile policy "$work/policy.json" --slurpfile request "$work/request.json" \
        --slurpfile requests "$work/requests.json" --slurpfile accepted "$work/accepted.json" \
        --slurpfile free "$work/free.json" --slurpfile elsewhere "$work/elsewhere.json" \
        --slurpfile revoked "$work/revoked.json" --slurpfile before "$work/before.json" \
        --slurpfile after "$work/after.json" '{
            asked: $policy[0].policy.requirement,
            request_paid: $request[0].units_paid,
            requested: ($requests[0].relations | map(.theirs) | . == ["requested"]),
            accepted_quota: $accepted[0].connection.quota,
            conversation_opened: $accepted[0].opened,
            then_shown: $free[0].passes,
            then_paid: $free[0].units_paid,
            explained: $free[0].reasoning.chosen,
            second_machine_shown: $elsewhere[0].passes,
            stamps_untouched: ($before == $after),
            after_revocation_paid: $revoked[0].units_paid
        }' >"$work/outcome.json"
    holds '.request_paid == 5 and .requested and .accepted_quota == 3 and .conversation_opened
        and .then_shown == ["connection"] and .then_paid == 0 and .explained == ["connection"]
        and .second_machine_shown == ["connection"] and .stamps_untouched and .after_revocation_paid == 5'
}
