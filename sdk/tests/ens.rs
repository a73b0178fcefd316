//! Names on a chain that has a resolver: one that gives every name the same answer.

#![allow(clippy::unwrap_used)] // A test may.

use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::{Provider as _, ProviderBuilder};
use url::Url;
use xmtp_contracts::testing;
use xmtp_proto::account::Account;
use xmtp_sdk::ens::{ResolveError, resolve};

/// Code that returns `resolve`'s answer, (bytes, address): the bytes are the ABI encoding of one address.
fn answering(address: Address) -> Bytes {
    let word = |number: u8| B256::with_last_byte(number);
    let words = [word(0x40), Address::repeat_byte(7).into_word(), word(0x20), address.into_word()];
    // Copies the words that follow it to memory and returns them.
    let code = [0x60, 0x80, 0x60, 0x0c, 0x60, 0x00, 0x39, 0x60, 0x80, 0x60, 0x00, 0xf3];
    [code.as_slice(), words.map(|word| word.0).as_flattened()].concat().into()
}

async fn set_resolver(rpc: &Url, code: Bytes) {
    let provider = ProviderBuilder::new().connect_http(rpc.clone());
    let set = provider.raw_request("anvil_setCode".into(), (alloy_ens::UNIVERSAL_RESOLVER_ADDRESS, code));
    set.await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn name_leads_to_the_address_that_its_resolver_gives() {
    let anvil = testing::start(testing::anvil_builder().chain_id(1));
    let rpc = anvil.endpoint_url();
    let name = "Alice.eth".parse().unwrap();
    assert!(matches!(resolve(&rpc, &name).await, Err(ResolveError::Failed { .. })), "there is no resolver yet");
    let alice = Address::repeat_byte(0xa1);
    set_resolver(&rpc, answering(alice)).await;
    assert_eq!(resolve(&rpc, &name).await.unwrap(), Account::externally_owned(alice));
    set_resolver(&rpc, answering(Address::ZERO)).await;
    assert!(matches!(resolve(&rpc, &name).await, Err(ResolveError::NoAddress(_))));
}

#[tokio::test]
async fn other_chains_names_are_nobodys() {
    let anvil = testing::anvil();
    let error = resolve(&anvil.endpoint_url(), &"alice.eth".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ResolveError::OtherChain(31_337)), "{error}");
}
