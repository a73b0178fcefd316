# shellcheck shell=bash
# What `work` and the commands are stands in scripts/demo; jq's programs have names of their own.
# shellcheck disable=SC2016,SC2154
# Mallory uses one stamp for two letters. The node refuses the second, knows the book's secret from the two, and slashes its
# bond: a tenth is credited to whoever the operator named, the rest is burned, and what was left of the book is worth nothing.

# The node has a key that pays for slashing.
node_config() {
    (
        umask 077
        head -c 32 /dev/urandom | sha256sum | cut -c 1-32 >"$work/slasher.password"
        CAST_PASSWORD=$(<"$work/slasher.password") "$npm_bin/cast" wallet new "$work" slasher.json >/dev/null
    )
    cat <<TOML
[slashing]
key_file = "$work/slasher.json"
password_file = "$work/slasher.password"
beneficiary = "$beneficiary"

[admin]
listen = "127.0.0.1:0"
TOML
}

# An account without code, key or coin: it need not receive anything for the slash to happen.
beneficiary=0x000000000000000000000000000000000000bEEF

# What a contract says, as a number.
asked() { "$npm_bin/cast" call --rpc-url "$(the .rpc)" "$@" | cut -d ' ' -f 1; }

credited() { [[ $(asked "$(the .contracts.postage)" 'credits(address)(uint256)' "$beneficiary") != 0 ]]; }

story() {
    local bob token postage slasher admin before after bond
    bob=$(the '.accounts[1].address')
    token=$(the .contracts.token)
    postage=$(the .contracts.postage)
    slasher=$("$npm_bin/cast" wallet address --keystore "$work/slasher.json" --password-file "$work/slasher.password")
    "$npm_bin/cast" rpc --rpc-url "$(the .rpc)" anvil_setBalance "$slasher" 0xde0b6b3a7640000 >/dev/null
    admin=$(jq -er .admin "$work/devnet/node.ready")

    tell "Bob makes an identity, and asks strangers for a stamp."
    as bob identity new | show
    as bob policy set 'stamp(1)' | show

    tell "Mallory buys two stamps, and uses one of them for two letters."
    bond=$(asked "$postage" 'quote(uint32,uint32)(uint256,uint256)' 1 2 | tail -n 1)
    XMTP_HOME=$work/mallory XMTP_WALLET_KEY=$(the '.accounts[2].private_key') \
        "$CARGO_TARGET_DIR/debug/examples/double_spend" \
        --network "$(the .deployment)" --node "$(the .node)" --rpc "$(the .rpc)" --to "$bob" >"$work/double.json"
    show <"$work/double.json"

    tell "The node has seen both, and its key slashes the bond."
    wait_for 60 credited || die "nothing was slashed after a minute:"$'\n'"$(tail -n 5 "$work/devnet/node.log")"
    "$npm_bin/cast" logs --rpc-url "$(the .rpc)" --from-block 0 --address "$postage" --json \
        'Slashed(bytes32,address,uint256,uint32,uint32,uint32,uint256)' >"$work/slashed.json"
    after=$(asked "$token" 'totalSupply()(uint256)' --block "$(jq -er '.[0].blockNumber' "$work/slashed.json")")
    before=$(asked "$token" 'totalSupply()(uint256)' \
        --block "$(($(jq -er '.[0].blockNumber' "$work/slashed.json") - 1))")

    tell "What it had seen, as anybody could have submitted it; by now it is gone."
    "$CARGO_TARGET_DIR/debug/xmtp-node" evidence --config "$work/devnet/node.toml" --admin "$admin" --json \
        >"$work/evidence.json"
    show <"$work/evidence.json"

    jq -cn --slurpfile double "$work/double.json" --slurpfile evidence "$work/evidence.json" \
        --slurpfile slashed "$work/slashed.json" --arg bond "$bond" \
        --arg credit "$(asked "$postage" 'credits(address)(uint256)' "$beneficiary")" \
        --arg burned "$(python3 -c 'import sys; print(int(sys.argv[1]) - int(sys.argv[2]))' "$before" "$after")" '{
            double_spend: $double[0].second.error.code,
            secret_recovered: $double[0].secret_recovered,
            slashes: ($slashed[0] | length),
            bond: $bond,
            credited: $credit,
            burned: $burned,
            state: $evidence[0][0].state
        }' >"$work/outcome.json"
    # Numbers in jq are exact to 2^53; these are not larger.
    holds '.double_spend == "nullifier_used" and .secret_recovered and .slashes == 1 and .state == "gone"
        and (.credited | tonumber) * 10 == (.bond | tonumber)
        and (.credited | tonumber) + (.burned | tonumber) == (.bond | tonumber)'
}
