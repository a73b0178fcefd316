//! Buying books on a real chain.

#![allow(clippy::unwrap_used)] // A test may.

use std::sync::Arc;

use alloy::network::EthereumWallet;
use alloy::node_bindings::AnvilInstance;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use xmtp_contracts::{Deployment, IXmtpToken, Parameters, deploy, testing};
use xmtp_proto::derive::Denomination;
use xmtp_prover::{Limit, PassSecret};
use xmtp_sdk::chain::{BuyError, Chain, Quote};

struct World {
    anvil: AnvilInstance,
    deployment: Deployment,
    rich: PrivateKeySigner,
    provider: DynProvider,
}

impl World {
    async fn start() -> Self {
        let anvil = testing::anvil();
        let rich = PrivateKeySigner::from(anvil.keys()[0].clone());
        let wallet = EthereumWallet::new(rich.clone());
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(anvil.endpoint_url()).erased();
        let deployment = deploy(&provider, rich.address(), &Parameters::default()).await.unwrap();
        Self { anvil, deployment, rich, provider }
    }

    fn chain(&self, wallet: &PrivateKeySigner) -> Chain {
        Chain::new(self.anvil.endpoint_url(), self.deployment.clone(), Arc::new(wallet.clone()))
    }

    async fn balance(&self, account: Address) -> U256 {
        IXmtpToken::new(self.deployment.token, &self.provider).balanceOf(account).call().await.unwrap()
    }
}

fn secret(seed: u8) -> PassSecret {
    PassSecret::from_wide_bytes(&[seed; 64]).unwrap()
}

#[tokio::test]
async fn book_is_bought_once_for_the_quoted_price() {
    let world = World::start().await;
    let chain = world.chain(&world.rich);
    let (denomination, count) = (Denomination::ALL[2], Limit::new(7).unwrap());
    let commitment = secret(1).commitment();
    assert_eq!(chain.book(commitment).await.unwrap(), None);

    let before = world.balance(world.rich.address()).await;
    let submitted = chain.submit(&world.rich, denomination, count, commitment).await.unwrap();
    chain.confirm(submitted).await.unwrap();
    let paid = before - world.balance(world.rich.address()).await;
    assert_eq!(paid, Quote::of(&world.deployment, denomination, 7).total().0);

    let book = chain.book(commitment).await.unwrap().unwrap();
    assert_eq!((book.group.denomination, book.count), (denomination, count));
    assert_eq!((book.position.volume, book.position.index), (0, 0));
    assert_eq!(book.buyer, Some(world.rich.address()));

    let again = chain.submit(&world.rich, denomination, count, commitment).await.unwrap_err();
    assert!(matches!(again, BuyError::CommitmentUsed), "{again}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = World::start().await;
    let poor = PrivateKeySigner::from(world.anvil.keys()[1].clone());
    let chain = world.chain(&poor);
    let count = Limit::new(1).unwrap();
    let needed = Quote::of(&world.deployment, Denomination::ALL[0], 1).total();
    match chain.submit(&poor, Denomination::ALL[0], count, secret(2).commitment()).await.unwrap_err() {
        BuyError::Balance { missing, wallet, .. } => assert_eq!((missing, wallet), (needed, poor.address())),
        other => panic!("{other}"),
    }

    // $XMTP, but none of the chain's coin.
    let stranger = PrivateKeySigner::from_slice(&[3; 32]).unwrap();
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    token.transfer(stranger.address(), needed.0).send().await.unwrap().get_receipt().await.unwrap();
    let chain = world.chain(&stranger);
    match chain.submit(&stranger, Denomination::ALL[0], count, secret(3).commitment()).await.unwrap_err() {
        BuyError::Gas { available, needed, .. } => assert!(available.is_zero() && !needed.is_zero()),
        other => panic!("{other}"),
    }
    assert_eq!(chain.book(secret(3).commitment()).await.unwrap(), None);
}

#[tokio::test]
async fn deployment_of_another_chain_takes_no_money() {
    let world = World::start().await;
    let elsewhere = Deployment { chain_id: 1, ..world.deployment.clone() };
    let chain = Chain::new(world.anvil.endpoint_url(), elsewhere, Arc::new(world.rich.clone()));
    let error = chain.submit(&world.rich, Denomination::ALL[0], Limit::new(1).unwrap(), secret(4).commitment()).await;
    assert!(matches!(error, Err(BuyError::Deployment(_))));
}
