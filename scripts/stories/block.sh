# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# Mallory was accepted, and then wrote what nobody wants. Bob blocks him: what he holds counts for nothing, though its signatures
# and proofs are as good as ever, and he is as welcome elsewhere as before.

story() {
    local alice bob carol
    alice=$(the '.accounts[0].address')
    bob=$(the '.accounts[1].address')
    carol=$(the '.accounts[2].address')

    tell "Bob and Carol ask strangers for stamps that show a pseudonym."
    local name
    for name in bob carol; do
        as "$name" identity new | show
        as "$name" policy set 'any(connection, stamp(1, tagged))' | show
    done

    tell "Alice writes to Bob, is accepted, and writes again."
    as alice identity new | show
    as alice stamps buy --count 8 | show
    as alice send "$bob" 'Dear Bob' | tee "$work/stamped.json" | show
    as bob accept "$alice" | show
    as alice inbox | show
    as alice send "$bob" 'Buy now!' | tee "$work/connected.json" | show

    tell "Bob blocks her: the connection is revoked, and the pseudonym that her stamps have shown to him is in his policy."
    as bob block "$alice" >"$work/blocked.json"
    show <"$work/blocked.json"

    tell "She has stamps left, and a connection. Neither counts: her client finds nothing that would do."
    refused alice send "$bob" 'Buy now! Last chance!' >"$work/refused.json" || die "a blocked sender got through"
    show <"$work/refused.json"

    tell "Bob asks for any stamp instead. She pays, gets through to the node, and is not shown."
    as bob policy set 'any(connection, stamp(1))' | show
    as alice send "$bob" 'It is me again' | tee "$work/untagged.json" | show
    as bob inbox >"$work/inbox.json"
    show <"$work/inbox.json"

    tell "Carol knows nothing of that, and her node neither: towards her the same book shows another pseudonym."
    as alice send "$carol" 'Dear Carol' | tee "$work/elsewhere.json" | show
    as carol inbox >"$work/carol.json"
    show <"$work/carol.json"

    jq -cn --arg alice "$alice" --slurpfile blocked "$work/blocked.json" --slurpfile refused "$work/refused.json" \
        --slurpfile inbox "$work/inbox.json" --slurpfile carol "$work/carol.json" \
        --slurpfile connected "$work/connected.json" --slurpfile elsewhere "$work/elsewhere.json" '{
            was_connected: ($connected[0].passes == ["connection"]),
            tags_blocked: $blocked[0].tags,
            attestations_revoked: $blocked[0].revoked,
            refused: $refused[0].error.code,
            shown_to_bob: ($inbox[0].messages | length),
            hidden_from_bob: $inbox[0].blocked,
            shown_to_carol: ($carol[0].messages | length),
            carol_sees_a_tag: ($carol[0].messages[0].tag != null),
            paid_elsewhere: $elsewhere[0].units_paid
        }' >"$work/outcome.json"
    holds '.was_connected and .tags_blocked == 1 and .attestations_revoked == 1 and .refused == "no_pass"
        and .shown_to_bob == 0 and .hidden_from_bob == 3 and .shown_to_carol == 1 and .carol_sees_a_tag
        and .paid_elsewhere == 1'
}
