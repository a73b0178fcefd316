# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# The network asks of accounts that join what a production network asks. Alice makes keys, learns what would let her in, and
# joins with a stamp; Bob joins with a stake. Then she writes to him with the next stamp of her book.

export XMTP_NODE_RULES__JOINING='any(claim(any), stake(any), stamp(1))'

story() {
    local bob
    bob=$(the '.accounts[1].address')

    tell "Alice has keys, and nothing to join with. She is told what would do."
    refused alice identity new >"$work/before.json" || die "an account joined for nothing"
    show <"$work/before.json"
    as alice identity show >"$work/unpublished.json"
    show <"$work/unpublished.json"

    tell "She buys a book of stamps, which is as easy before joining as after it, and says the same once more."
    as alice stamps buy --count 5 | show
    as alice identity new >"$work/alice.json"
    show <"$work/alice.json"

    tell "Bob locks tokens, and spends nothing."
    refused bob identity new >"$work/also.json" || die "an account joined for nothing"
    show <"$work/also.json"
    as bob stake lock --tier 1 | show
    as bob identity new >"$work/bob.json"
    show <"$work/bob.json"

    tell "What she joined with is used, and the next stamp pays for a letter."
    as alice send "$bob" 'Dear Bob, so we are in.' >"$work/sent.json"
    show <"$work/sent.json"
    as alice stamps list >"$work/books.json"
    show <"$work/books.json"
    as bob inbox >"$work/inbox.json"
    show <"$work/inbox.json"

    jq -cn --slurpfile before "$work/before.json" --slurpfile unpublished "$work/unpublished.json" \
        --slurpfile alice "$work/alice.json" --slurpfile bob "$work/bob.json" --slurpfile sent "$work/sent.json" \
        --slurpfile books "$work/books.json" --slurpfile inbox "$work/inbox.json" '{
            for_nothing: $before[0].error.code,
            what_would: $before[0].error.hint,
            published_before: $unpublished[0].published,
            alice: $alice[0].joined_with,
            bob: $bob[0].joined_with,
            paid: $sent[0].units_paid,
            stamps_left: $books[0].books[0].left,
            letters: ($inbox[0].messages | length)
        }' >"$work/outcome.json"
    holds '.for_nothing == "no_pass" and (.what_would | startswith("xmtp stamps buy --denomination 1 --count 1"))'
    holds '.published_before == null'
    holds '.alice == {passes: ["stamp(1)"], stamps_cancelled: 1, units_paid: 1}'
    holds '.bob == {passes: ["stake(1)"], stamps_cancelled: 0, units_paid: 0}'
    holds '.paid == 1 and .stamps_left == 3 and .letters == 1'
}
