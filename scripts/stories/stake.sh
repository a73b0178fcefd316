# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# Bob asks strangers for a stake. Alice locks tokens once, and writes as often as her tier allows, without spending anything;
# then she leaves, and from that moment on she cannot write.

story() {
    local bob stake
    bob=$(the '.accounts[1].address')

    tell "Bob makes an identity, and asks strangers for a stake of the first tier."
    as bob identity new | show
    as bob policy set 'stake(1)' | show

    tell "Alice has tokens and no stake. She is told what would do."
    as alice identity new | show
    as alice stake list >"$work/tiers.json"
    show <"$work/tiers.json"
    refused alice send "$bob" 'Dear Bob, let me in.' >"$work/before.json" || die "a letter without a stake was sent"
    show <"$work/before.json"

    tell "She locks what the tier asks for: one transaction, with a permit."
    as alice stake lock --tier 1 >"$work/locked.json"
    show <"$work/locked.json"
    stake=$(jq -er .id "$work/locked.json")

    tell "And writes three letters. Each takes one of the day's indices, and nothing else."
    for text in 'Dear Bob, I have something to lose.' 'And something to say.' 'This is all of it.'; do
        as alice send "$bob" "$text" >>"$work/sent.json"
    done
    show <"$work/sent.json"
    as bob inbox >"$work/inbox.json"
    show <"$work/inbox.json"
    as alice stake list >"$work/used.json"
    show <"$work/used.json"

    tell "She leaves. Her leaf is gone at once; her tokens come back in a week, and not before."
    as alice stake exit "$stake" >"$work/left.json"
    show <"$work/left.json"
    refused alice stake withdraw "$stake" >"$work/early.json" || die "a stake was paid back before its week was over"
    show <"$work/early.json"
    refused alice send "$bob" 'One more.' >"$work/after.json" || die "a stake that left paid for a letter"
    show <"$work/after.json"

    jq -cn --slurpfile tiers "$work/tiers.json" --slurpfile before "$work/before.json" \
        --slurpfile locked "$work/locked.json" --slurpfile sent "$work/sent.json" --slurpfile inbox "$work/inbox.json" \
        --slurpfile used "$work/used.json" --slurpfile left "$work/left.json" --slurpfile early "$work/early.json" \
        --slurpfile after "$work/after.json" '{
            locked: $locked[0].amount.xmtp,
            as_the_tier_says: ($locked[0].amount == $tiers[0].tiers[0].amount),
            without_a_stake: $before[0].error.code,
            letters: ($inbox[0].messages | length),
            verified: ($inbox[0].messages | all(.verified)),
            shown: ($sent | map(.passes) | unique),
            units_paid: ($sent | map(.units_paid) | add),
            used_today: ($used[0].stakes[0].limit - $used[0].stakes[0].left_today),
            left: $left[0].status,
            withdrawn_at_once: $early[0].error.code,
            after_leaving: $after[0].error.code
        }' >"$work/outcome.json"
    holds '.as_the_tier_says and .without_a_stake == "no_pass" and .letters == 3 and .verified
        and .shown == [["stake(1)"]] and .units_paid == 0 and .used_today == 3 and .left == "leaving"
        and .withdrawn_at_once == "too_early" and .after_leaving == "no_pass"'
}
