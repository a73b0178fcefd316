# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# Alice owns a token of a collection. An issuer finds that out from the chain, and says so without naming her among the others;
# Bob lets such people write to him, and her letter needs no postage. Then she sells. Carol needs no issuer: she registers her
# token on the chain, and when she has sold it anybody has the entry removed.

# Anvil's sixth account deploys the collection as its first transaction, so its address is known before there is a chain.
keeper=0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc

offered_claims() {
    local collection issuer
    collection=$("$npm_bin/cast" compute-address --nonce 0 "$keeper" | sed 's/^.*0x/0x/' | tr '[:upper:]' '[:lower:]')
    issuer=$(
        umask 077
        head -c 32 /dev/urandom | sha256sum | cut -c 1-32 >"$work/issuer.password"
        CAST_PASSWORD=$(<"$work/issuer.password") "$npm_bin/cast" wallet new "$work" issuer.json |
            sed -n 's/^.*\(0x[0-9a-fA-F]\{40\}\).*$/\1/p' | tail -n 1
    )
    jq -n --arg collection "$collection" --arg issuer "$issuer" '[{name: "cool-cats", chainId: 31337,
        condition: {kind: "erc721", collection: $collection}, issuers: [$issuer], threshold: 1, limit: 64},
        {name: "cats-on-chain", chainId: 31337, condition: {kind: "erc721", collection: $collection}, limit: 64}]'
}

# A transaction of an account that anvil signs for.
transact() { "$npm_bin/cast" send --json --rpc-url "$(the .rpc)" --unlocked --from "$@" >>"$work/chain.log" 2>&1 || die "a transaction failed"; }

issue() {
    printf '  issuer$ xmtp-node issue --once\n' >&3
    # What happened this very second belongs to the next moment, and blocks that come quickly run ahead of the clock.
    "$CARGO_TARGET_DIR/debug/xmtp-node" issue --config "$work/issuer.toml" --once --at "$(($(date +%s) + 5))"
}

recompute() {
    printf '  anybody$ xmtp-node recompute cool-cats\n' >&3
    "$CARGO_TARGET_DIR/debug/xmtp-node" recompute cool-cats --deployment "$(the .deployment)" --node "$(the .node)" \
        --rpc-url "$(the .rpc)"
}

is_alices() { as alice claims | jq -e '.claims[0].held' >/dev/null; }

is_carols() { as carol claims | jq -e '.claims[1].held' >/dev/null; }

story() {
    local alice bob carol collection claim registered
    alice=$(the '.accounts[0].address')
    bob=$(the '.accounts[1].address')
    carol=$(the '.accounts[2].address')
    collection=$(the '.contracts.offeredClaims[0].condition.collection')
    cat >"$work/issuer.toml" <<TOML
deployment = "$(the .deployment)"
node = "$(the .node)"
data_dir = "$work/issuer"

[key]
key_file = "$work/issuer.json"
password_file = "$work/issuer.password"

[[chains]]
chain_id = 31337
rpc_url = "$(the .rpc)"
confirmations = 0
quiet = true

[[claims]]
name = "cool-cats"
cross_check = { slot = 2 }
TOML

    tell "A collection of tokens, and one of them is Alice's."
    transact "$keeper" --create "$(jq -r .bytecode "$repo/contracts/artifacts/Collection.json")"
    transact "$keeper" "$collection" 'mint(address,uint256)' "$alice" 1

    tell "Bob lets those write to him who own such a token, and nobody else."
    as bob identity new | show
    claim=$(as bob claims | jq -er '.claims[0].id')
    as bob policy set "claim($claim)" | show

    tell "Alice makes an identity. Nobody has said yet that she owns one."
    as alice identity new | show
    refused alice --small-claims send "$bob" 'too early' >"$work/early.json" || die "a letter without a claim was accepted"
    show <"$work/early.json"

    tell "The issuer reads the chain and the list of inboxes, holds what it found against the state root, and signs."
    issue >"$work/first.json"
    show <"$work/first.json"
    wait_for 30 is_alices || die "the claim does not hold of Alice"
    as alice claims | tee "$work/claims-held.json" | show

    tell "Alice writes. Her client proves that she is in the snapshot, and does not say who. No postage."
    as alice --small-claims send "$bob" 'Dear Bob, from one cat to another. Alice' >"$work/sent.json"
    show <"$work/sent.json"
    as bob inbox | tee "$work/inbox.json" | show

    tell "Anybody can compute the snapshot again."
    recompute | tee "$work/recomputed.json" | show

    tell "She sells the token. The next snapshot, which counts from tomorrow on, is without her."
    transact "$alice" "$collection" 'transferFrom(address,address,uint256)' "$alice" "$keeper" 1
    issue >"$work/second.json"
    show <"$work/second.json"
    recompute >"$work/recomputed-again.json" || die "the snapshot is not so"

    tell "The same tokens, and no issuer: whoever has one registers it on the chain, and the contract asks the collection."
    as bob claims declare cats-on-chain | tee "$work/declared.json" | show
    transact "$keeper" "$collection" 'mint(address,uint256)' "$carol" 2
    registered=$(as bob claims | jq -er '.claims[1].id')
    as bob policy set "claim($registered)" | show
    as carol identity new | show
    as carol claims register cats-on-chain --token 2 | tee "$work/registered.json" | show
    wait_for 30 is_carols || die "the registration does not count"
    as carol --small-claims send "$bob" 'Dear Bob, nobody had to vouch for me. Carol' >"$work/sent-registered.json"
    show <"$work/sent-registered.json"
    as bob inbox --new | tee "$work/inbox-registered.json" | show

    tell "Carol sells. Dave, who has nothing to do with it, has her entry removed: from tomorrow on she is out."
    refused dave claims prune cats-on-chain --token 2 >"$work/still-held.json" || die "an entry was pruned whose token is held"
    transact "$carol" "$collection" 'transferFrom(address,address,uint256)' "$carol" "$keeper" 2
    as dave claims prune cats-on-chain --token 2 | tee "$work/pruned.json" | show

    jq -n --slurpfile early "$work/early.json" --slurpfile first "$work/first.json" --slurpfile second "$work/second.json" \
        --slurpfile sent "$work/sent.json" --slurpfile inbox "$work/inbox.json" --slurpfile again "$work/recomputed.json" \
        --slurpfile registered "$work/sent-registered.json" --slurpfile read "$work/inbox-registered.json" \
        --slurpfile held "$work/still-held.json" --slurpfile pruned "$work/pruned.json" \
        '{story: "claim", refused_before: $early[0].error.code, holders: $first[0].leaves, passes: $sent[0].passes,
          stamps: $sent[0].stamps_cancelled, letters_read: ($inbox[0].messages | length),
          recomputed_difference: $again[0].difference, holders_after_sale: $second[0].leaves,
          registered_passes: $registered[0].passes, registered_letters_read: ($read[0].messages | length),
          prune_before_sale: $held[0].error.code, pruned_token: $pruned[0].token}' >"$work/outcome.json"
    holds --arg claim "claim($claim)" --arg registered "claim($registered)" '.refused_before == "no_pass" and .holders == 1 and .passes == [$claim] and .stamps == 0
        and .letters_read == 1 and .recomputed_difference == null and .holders_after_sale == 0
        and .registered_passes == [$registered] and .registered_letters_read == 1
        and .prune_before_sale == "nothing_to_prune" and .pruned_token == "2"'
}
