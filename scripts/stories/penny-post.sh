# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# Alice buys stamps, writes to Bob, who asks for postage and does not know her; he answers, and they go on for free. What is
# not paid for, or paid twice with one stamp, does not arrive.

story() {
    local letter='Dear Bob, we have not met. This stamp says I mean it. Alice'
    local alice bob answer number who to text said watch
    alice=$(the '.accounts[0].address')
    bob=$(the '.accounts[1].address')

    tell "Bob makes an identity, and asks strangers for a stamp."
    as bob identity new | show
    as bob policy set 'stamp(1)' | show

    tell "Alice makes one too, and asks what writing to Bob ($bob) takes."
    as alice identity new | show
    as alice requirements "$bob" | tee "$work/requirements.json" | show

    tell "She tries without paying. The node says no."
    refused alice send "$bob" "$letter" --without-passes >"$work/unpaid.json" || die "an unpaid letter was accepted"
    show <"$work/unpaid.json"

    tell "She buys ten stamps: one transaction, with a permit."
    as alice stamps buy --count 10 | show

    tell "And writes again. Her client proves that it holds an unused stamp, and does not say which."
    as alice send "$bob" "$letter" >"$work/sent.json"
    show <"$work/sent.json"

    tell "Bob's inbox, decrypted, its author checked."
    as bob inbox >"$work/inbox.json"
    show <"$work/inbox.json"

    tell "Bob answers, without a stamp: he proves that he holds an account, and not which. From here on nothing costs postage."
    as alice stamps list >"$work/stamps-before.json"
    answer='Dear Alice, thank you. Bob'
    as bob reply "$alice" "$answer" >"$work/answer.json"
    show <"$work/answer.json"

    tell "Ten messages more, both ways."
    said=("$answer")
    for number in {1..10}; do
        ((number % 2)) && who=alice to=$bob || who=bob to=$alice
        text="message $number, from $who"
        as "$who" reply "$to" "$text" >>"$work/replies.json"
        said+=("$text")
    done
    as alice inbox | tee "$work/conversation.json" | show
    as alice stamps list >"$work/stamps-after.json"
    printf '%s\n' "${said[@]}" | jq -R . | jq -s . >"$work/said.json"

    tell "A dishonest client uses one stamp for two letters. The second is refused, and the pair gives its secret away."
    XMTP_HOME=$work/mallory XMTP_WALLET_KEY=$(the '.accounts[2].private_key') \
        "$CARGO_TARGET_DIR/debug/examples/double_spend" \
        --network "$(the .deployment)" --node "$(the .node)" --rpc "$(the .rpc)" --to "$bob" >"$work/double.json"
    show <"$work/double.json"

    tell "Bob's laptop is gone. A new one, his wallet, the same inbox, the same conversation."
    home=bob-again as bob identity restore | show
    home=bob-again as bob inbox >"$work/restored.json"

    tell "So is Alice's. Her new one can write on with the stamps that the old one had left."
    home=alice-again as alice identity restore | show
    home=alice-again as alice stamps list | tee "$work/elsewhere.json" | show
    home=alice-again as alice stamps take-over "$(jq -er '.books[0].id' "$work/elsewhere.json")" | show
    home=alice-again as alice can-send "$bob" | show
    home=bob-again become bob watch --letters >"$work/watched.json" &
    watch=$!
    home=alice-again as alice send "$bob" 'A second letter' | tee "$work/second.json" | show
    home=alice-again as alice sync | show
    home=alice-again as alice stamps list >"$work/taken-over.json"
    heard() { jq -es 'any(.text == "A second letter")' "$work/watched.json" >/dev/null 2>&1; }
    wait_for 30 heard || die "Bob, who watches, does not see the letter"
    end "$watch"
    home=alice-again as alice doctor | show

    jq -cn --arg alice "$alice" --arg letter "$letter" \
        --slurpfile sent "$work/sent.json" --slurpfile inbox "$work/inbox.json" --slurpfile unpaid "$work/unpaid.json" \
        --slurpfile double "$work/double.json" --slurpfile restored "$work/restored.json" --arg bob "$bob" \
        --slurpfile answer "$work/answer.json" --slurpfile replies "$work/replies.json" \
        --slurpfile conversation "$work/conversation.json" --slurpfile said "$work/said.json" \
        --slurpfile before "$work/stamps-before.json" --slurpfile after "$work/stamps-after.json" \
        --slurpfile second "$work/second.json" --slurpfile elsewhere "$work/elsewhere.json" \
        --slurpfile taken_over "$work/taken-over.json" '
        def from_alice: [.[0].messages[] | select(.from | ascii_downcase | endswith($alice))];
        def with($who): [.[0].conversations[] | select(.with | ascii_downcase | endswith($who)) | .messages[]];
        ($inbox | from_alice) as $got
        | ($conversation | with($bob)) as $talk
        | {
            delivered: ($got | length == 1 and .[0].text == $letter),
            decrypted: $got[0].text,
            sender_verified: $got[0].verified,
            stamps_cancelled: $sent[0].stamps_cancelled,
            double_spend: $double[0].second.error.code,
            unpaid: $unpaid[0].error.code,
            restored_on_second_client: (($restored | from_alice) == $got),
            conversation_free: (
                ($talk | map(.text)) == $said[0] and ($talk | all(.verified))
                and ($answer + $replies | length == 11 and all(.units_paid == 0))
                and $answer[0].opened and ($replies | any(.opened) | not)
                and $before == $after
                and ($restored | with($alice)) == $talk
            ),
            taken_over: (
                $elsewhere[0].books[0].keeper == "elsewhere" and $taken_over[0].books[0].keeper == "taken_over"
                and $second[0].stamps_cancelled == 1
                and $taken_over[0].books[0].left == $elsewhere[0].books[0].left - 1
            )
        }' >"$work/outcome.json"
    holds '.delivered and .decrypted == $letter and .sender_verified and .stamps_cancelled == 1
        and .double_spend == "nullifier_used" and .unpaid == "requirement_unmet" and .restored_on_second_client
        and .conversation_free and .taken_over' --arg letter "$letter"
}
