//! The bindings, the bytecode and both ways of deploying, on a real chain.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use alloy::{
    network::{Ethereum, EthereumWallet, TransactionBuilder},
    node_bindings::AnvilInstance,
    primitives::{Address, B256, Bytes, U256, hex},
    providers::{Provider, ProviderBuilder},
    rpc::{client::ClientBuilder, types::TransactionRequest},
    signers::{SignerSync, local::PrivateKeySigner},
    sol,
    sol_types::{SolEvent, SolStruct, SolValue, eip712_domain},
};
use xmtp_contracts::{
    DENOMINATIONS, DeployError, Deployment, IClaims, IPostage, IStake, IXmtpToken, MAX_COUNT, Parameters,
    STAKE_COOLDOWN, Staking, Tier, VerifyError, deploy,
    leaf_log::{self, Operation},
    paid_by, testing,
};

sol! {
    #[sol(rpc)]
    interface IPoseidon {
        function hash(uint256[1] memory input) external pure returns (uint256);
    }
}

/// As issuers sign it, written down a second time.
mod signed {
    alloy::sol! {
        struct Snapshot {
            bytes32 claim;
            uint32 generation;
            uint64 blockNumber;
            bytes32 blockHash;
            bytes32 contacts;
            uint32 leaves;
            uint256[] roots;
        }
    }
}

/// A collection that stores who owns a token when it is sent the two, as words, and answers any call of one argument
/// with what is stored.
const COLLECTION: [u8; 37] =
    hex!("601c8060095f395ff3" "36602414600f57" "6020356000355500" "5b600435546000526020" "6000f3");

/// A chain, a provider for it whose accounts the chain signs for, and who deploys.
fn chain() -> (AnvilInstance, impl Provider<Ethereum> + Clone, Address) {
    let anvil = testing::anvil();
    // Without fillers: the chain numbers and signs, and a refused transaction leaves no gap in a count kept here.
    let provider = ProviderBuilder::default().connect_http(anvil.endpoint_url());
    let deployer = anvil.addresses()[0];
    (anvil, provider, deployer)
}

#[tokio::test]
async fn transaction_after_one_that_was_refused_is_mined_all_the_same() {
    let (anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let key = PrivateKeySigner::from(anvil.keys()[0].clone());
    let payer = paid_by(EthereumWallet::from(key), ClientBuilder::default().http(anvil.endpoint_url()));
    let token = IXmtpToken::new(deployment.token, &payer);
    let approve = async |amount| {
        let sent = token.approve(deployment.postage, U256::from(amount)).send().await.unwrap();
        let mined = sent.with_timeout(Some(Duration::from_secs(30))).get_receipt().await.unwrap();
        assert!(mined.status());
    };
    approve(1).await;
    let more_than_there_is = token.transfer(deployment.postage, U256::MAX);
    more_than_there_is.send().await.unwrap_err();
    approve(2).await;
    // And the account pays from elsewhere, too.
    let elsewhere = IXmtpToken::new(deployment.token, &provider);
    elsewhere.approve(deployment.postage, U256::ONE).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    approve(3).await;
    assert_eq!(token.allowance(deployer, deployment.postage).call().await.unwrap(), U256::from(3));
}

#[tokio::test]
async fn a_deployment_is_verified_and_any_other_is_not() {
    let (_anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    deployment.verify(&provider).await.unwrap();

    let other = || deployment.clone();
    let nobody = Address::repeat_byte(0x11);
    let verify = |it: Deployment| {
        let provider = provider.clone();
        async move { it.verify(provider).await.unwrap_err() }
    };
    let chain = verify(Deployment { chain_id: 1, ..other() }).await;
    assert!(matches!(chain, VerifyError::Chain { expected: 1, found: 31_337 }));
    let code = verify(Deployment { postage: nobody, ..other() }).await;
    assert!(matches!(code, VerifyError::NoCode(it) if it == nobody));
    let token_for_postage = verify(Deployment { postage: deployment.token, ..other() }).await;
    assert!(matches!(token_for_postage, VerifyError::NotPostage(_)), "{token_for_postage}");
    for (field, changed) in [
        ("networkId", Deployment { network_id: B256::repeat_byte(1), ..other() }),
        ("token", Deployment { token: deployment.poseidon, ..other() }),
        ("settlement", Deployment { settlement: nobody, ..other() }),
        ("unitPrice", Deployment { unit_price: 1, ..other() }),
        ("issueSeconds", Deployment { issue_seconds: 1, ..other() }),
        ("burnBps", Deployment { burn_bps: 3_001, ..other() }),
        ("bondBps", Deployment { bond_bps: 1_001, ..other() }),
    ] {
        let error = verify(changed).await;
        assert!(matches!(error, VerifyError::Differs(it) if it == field), "{field}: {error}");
    }
}

#[tokio::test]
async fn a_deployments_stake_is_verified_and_any_other_is_not() {
    let (_anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let elsewhere = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let stake = deployment.stake.clone().unwrap();
    let with = |stake: Option<Staking>| Deployment { stake, ..deployment.clone() };
    with(None).verify(&provider).await.unwrap();

    let at = |contract| Some(Staking { contract, tiers: stake.tiers.clone() });
    let nobody = Address::repeat_byte(0x11);
    let code = with(at(nobody)).verify(&provider).await.unwrap_err();
    assert!(matches!(code, VerifyError::NoCode(it) if it == nobody));
    let token_for_stake = with(at(deployment.token)).verify(&provider).await.unwrap_err();
    assert!(matches!(token_for_stake, VerifyError::NotStake(_)), "{token_for_stake}");
    let another_network = with(at(elsewhere.stake.unwrap().contract)).verify(&provider).await.unwrap_err();
    assert!(matches!(another_network, VerifyError::Differs("stake.postage")), "{another_network}");

    let (first, second) = (stake.tiers[0], stake.tiers[1]);
    for tiers in [
        vec![first],
        vec![second, first],
        vec![first, second, second],
        vec![Tier { amount: 1, ..first }, second],
        vec![first, Tier { limit: 1, ..second }],
    ] {
        let error = with(Some(Staking { tiers, ..stake.clone() })).verify(&provider).await.unwrap_err();
        assert!(matches!(error, VerifyError::Differs("stake.tiers")), "{error}");
    }
}

#[tokio::test]
async fn a_deployments_claims_are_verified_and_any_others_are_not() {
    let (_anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let elsewhere = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let with = |claims| Deployment { claims, ..deployment.clone() };
    with(None).verify(&provider).await.unwrap();
    let nobody = Address::repeat_byte(0x11);
    let code = with(Some(nobody)).verify(&provider).await.unwrap_err();
    assert!(matches!(code, VerifyError::NoCode(it) if it == nobody));
    let stake = deployment.stake.as_ref().unwrap().contract;
    let stake_for_claims = with(Some(stake)).verify(&provider).await.unwrap_err();
    assert!(matches!(stake_for_claims, VerifyError::NotClaims(_)), "{stake_for_claims}");
    let another_network = with(elsewhere.claims).verify(&provider).await.unwrap_err();
    assert!(matches!(another_network, VerifyError::Differs("claims.postage")), "{another_network}");
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_not_the_files_fault() {
    let (anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    drop(anvil);
    assert!(matches!(deployment.verify(&provider).await, Err(VerifyError::Rpc(_))));
}

#[tokio::test]
async fn parameters_out_of_range_are_refused() {
    let (_anvil, provider, deployer) = chain();
    for parameters in [
        Parameters { unit_price: 0, ..Parameters::default() },
        Parameters { unit_price: 1 << 96, ..Parameters::default() },
        Parameters { issue_seconds: 0, ..Parameters::default() },
        Parameters { burn_bps: 2_999, ..Parameters::default() },
        Parameters { bond_bps: 0, ..Parameters::default() },
        Parameters { tiers: vec![], ..Parameters::default() },
        Parameters { tiers: vec![Tier { amount: 1 << 127, limit: 65_537 }], ..Parameters::default() },
    ] {
        let error = deploy(&provider, deployer, &parameters).await.unwrap_err();
        assert!(matches!(error, DeployError::Rpc(_) | DeployError::Reverted(_)), "{parameters:?}: {error}");
    }
}

#[tokio::test]
async fn a_book_is_bought_followed_and_slashed() {
    let (anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let postage = IPostage::new(deployment.postage, &provider);
    let token = IXmtpToken::new(deployment.token, &provider);
    let poseidon = IPoseidon::new(deployment.poseidon, &provider);

    let secret = U256::from(0xa0);
    let commitment = poseidon.hash([secret]).call().await.unwrap();
    token.approve(deployment.postage, U256::MAX).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let bought = postage.buy(5, 100, commitment).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let event = bought.logs().iter().find_map(|it| IPostage::Bought::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.commitment, event.denomination, event.count), (commitment, 5, 100));
    assert_eq!((event.volume, event.position, event.buyer), (0, 0, deployer));
    assert_eq!(event.group, postage.groupId(5, event.issue).call().await.unwrap());

    let chain = leaf_log::link(leaf_log::START, Operation::Insert, commitment, 100);
    check_chain(&provider, &deployment, event.group, chain).await;

    let reporter = anvil.addresses()[1];
    let slashed = postage.slash(secret, reporter).from(reporter).send().await.unwrap().get_receipt().await.unwrap();
    let event = slashed.logs().iter().find_map(|it| IPostage::Slashed::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.commitment, event.secret, event.count), (commitment, secret, 100));
    check_chain(&provider, &deployment, event.group, leaf_log::link(chain, Operation::Slash, commitment, 100)).await;
    assert!(!postage.credits(reporter).call().await.unwrap().is_zero());
}

#[tokio::test]
async fn a_stake_is_made_left_and_withdrawn() {
    let (anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let (contract, tier) = staking(&deployment);
    let stake = IStake::new(contract, &provider);
    let token = IXmtpToken::new(deployment.token, &provider);

    let commitment = U256::from(7);
    let before = token.balanceOf(deployer).call().await.unwrap();
    token.approve(contract, U256::MAX).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let staked = stake.stake(1, commitment).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let event = staked.logs().iter().find_map(|it| IStake::Staked::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.commitment, event.tier, event.limit), (commitment, 1, tier.limit));
    assert_eq!((event.volume, event.position, event.staker), (0, 0, deployer));
    assert_eq!(token.balanceOf(deployer).call().await.unwrap(), before - U256::from(tier.amount));
    let chain = leaf_log::link(leaf_log::START, Operation::Insert, commitment, tier.limit);
    check_stakes_chain(&provider, contract, event.group, chain).await;

    let left = stake.requestExit(commitment).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let event = left.logs().iter().find_map(|it| IStake::ExitRequested::decode_log(&it.inner).ok()).unwrap();
    let chain = leaf_log::link(chain, Operation::Exit, commitment, tier.limit);
    check_stakes_chain(&provider, contract, event.group, chain).await;

    assert!(stake.withdraw(commitment).from(deployer).call().await.is_err(), "not before the cool-down is over");
    let wait = STAKE_COOLDOWN.as_secs();
    let _: serde_json::Value = provider.raw_request("evm_increaseTime".into(), [wait]).await.unwrap();
    let anybody = anvil.addresses()[1];
    let returned = stake.withdraw(commitment).from(anybody).send().await.unwrap().get_receipt().await.unwrap();
    let event = returned.logs().iter().find_map(|it| IStake::StakeReturned::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.commitment, event.staker, event.amount), (commitment, deployer, U256::from(tier.amount)));
    assert_eq!(token.balanceOf(deployer).call().await.unwrap(), before);
}

#[tokio::test]
async fn a_slashed_stake_pays_a_tenth_and_burns_the_rest() {
    let (anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let (contract, tier) = staking(&deployment);
    let stake = IStake::new(contract, &provider);
    let token = IXmtpToken::new(deployment.token, &provider);
    let amount = U256::from(tier.amount);

    let secret = U256::from(0xa0);
    let commitment = IPoseidon::new(deployment.poseidon, &provider).hash([secret]).call().await.unwrap();
    token.approve(contract, U256::MAX).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    stake.stake(1, commitment).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let supply = token.totalSupply().call().await.unwrap();

    // Leaving is no way out of it.
    stake.requestExit(commitment).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let reporter = anvil.addresses()[1];
    let slashed = stake.slash(secret, reporter).from(reporter).send().await.unwrap().get_receipt().await.unwrap();
    let event = slashed.logs().iter().find_map(|it| IStake::Slashed::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.commitment, event.secret, event.limit), (commitment, secret, tier.limit));
    let operations = [Operation::Insert, Operation::Exit, Operation::Slash];
    let chain = operations.into_iter().fold(leaf_log::START, |it, op| leaf_log::link(it, op, commitment, tier.limit));
    check_stakes_chain(&provider, contract, event.group, chain).await;

    stake.withdrawCredit().from(reporter).send().await.unwrap().get_receipt().await.unwrap();
    assert_eq!(token.balanceOf(reporter).call().await.unwrap(), amount / U256::from(10));
    assert_eq!(token.balanceOf(contract).call().await.unwrap(), U256::ZERO);
    assert_eq!(supply - token.totalSupply().call().await.unwrap(), amount * U256::from(9) / U256::from(10));
}

#[tokio::test]
async fn a_holder_registers_and_is_pruned_when_the_token_has_moved() {
    let (anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let claims = IClaims::new(deployment.claims.unwrap(), &provider);
    let create = TransactionRequest::default().with_from(deployer).with_deploy_code(COLLECTION);
    let receipt = provider.send_transaction(create).await.unwrap().get_receipt().await.unwrap();
    let collection = receipt.contract_address.unwrap();
    let (token_id, holder) = (U256::from(7), anvil.addresses()[1]);
    let give = async |to: Address| {
        let input = (token_id, to).abi_encode();
        let request = TransactionRequest::default().with_from(deployer).with_to(collection).with_input(input);
        provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
    };
    give(holder).await;

    let condition = IClaims::Spec { kind: IClaims::Kind::Erc721, subject: collection, ..blank(deployment.chain_id) };
    let terms = IClaims::Claim { spec: condition, issuers: vec![], threshold: 0, limit: 64 };
    let claim = declare(&claims, deployer, &terms).await;
    let generation = claims.currentGeneration().call().await.unwrap();
    let commitment = U256::from(0xc0);
    let register = claims.register(claim, generation, token_id, commitment);
    assert!(register.clone().from(deployer).call().await.is_err(), "the holder alone");
    let receipt = register.from(holder).send().await.unwrap().get_receipt().await.unwrap();
    let event = receipt.logs().iter().find_map(|it| IClaims::Registered::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.claim, event.holder, event.tokenId), (claim, holder, token_id));
    assert_eq!((event.commitment, event.volume, event.position, event.limit), (commitment, 0, 0, 64));
    assert_eq!(event.group, claims.groupId(claim, generation).call().await.unwrap());
    let chain = leaf_log::link(leaf_log::START, Operation::Insert, commitment, 64);
    check_stored_chain(&provider, *claims.address(), event.group, chain).await;

    let prune = claims.prune(claim, generation, token_id);
    assert!(prune.clone().from(deployer).call().await.is_err(), "the holder holds");
    give(deployer).await;
    let receipt = prune.from(anvil.addresses()[2]).send().await.unwrap().get_receipt().await.unwrap();
    let event = receipt.logs().iter().find_map(|it| IClaims::Left::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.holder, event.commitment), (holder, commitment));
    let chain = leaf_log::link(chain, Operation::Exit, commitment, 64);
    check_stored_chain(&provider, *claims.address(), event.group, chain).await;
}

#[tokio::test]
async fn a_snapshot_is_anchored_by_the_threshold_of_its_issuers() {
    let (_anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let claims = IClaims::new(deployment.claims.unwrap(), &provider);
    let mut issuers: Vec<_> = (0..3).map(|_| PrivateKeySigner::random()).collect();
    issuers.sort_by_key(PrivateKeySigner::address);
    let condition = IClaims::Spec { kind: IClaims::Kind::Native, amount: U256::ONE, ..blank(1) };
    let addresses = issuers.iter().map(PrivateKeySigner::address).collect();
    let terms = IClaims::Claim { spec: condition, issuers: addresses, threshold: 2, limit: 16 };
    let claim = declare(&claims, deployer, &terms).await;

    let snapshot = IClaims::Snapshot {
        generation: claims.currentGeneration().call().await.unwrap(),
        blockNumber: 20_000_000,
        blockHash: B256::repeat_byte(0xb1),
        contacts: B256::repeat_byte(0xc0),
        leaves: (1 << 21) + 1,
        roots: vec![U256::from(1), U256::from(2)],
    };
    let IClaims::Snapshot { generation, blockNumber, blockHash, contacts, leaves, roots } = snapshot.clone();
    let domain = eip712_domain! {
        name: "xmtp/sig/snapshot/1",
        version: "1",
        chain_id: deployment.chain_id,
        verifying_contract: *claims.address(),
    };
    let signed = signed::Snapshot { claim, generation, blockNumber, blockHash, contacts, leaves, roots };
    let digest = signed.eip712_signing_hash(&domain);
    assert_eq!(claims.snapshotDigest(claim, snapshot.clone()).call().await.unwrap(), digest);

    let sign = |it: &PrivateKeySigner| Bytes::from(it.sign_hash_sync(&digest).unwrap().as_bytes());
    let [first, second, third] = [0, 1, 2].map(|it: usize| sign(&issuers[it]));
    let stranger = sign(&PrivateKeySigner::random());
    for few in [vec![], vec![first.clone()], vec![first.clone(), first.clone()], vec![third.clone(), second]] {
        assert!(claims.anchor(claim, snapshot.clone(), few).from(deployer).call().await.is_err());
    }
    assert!(claims.anchor(claim, snapshot.clone(), vec![first.clone(), stranger]).from(deployer).call().await.is_err());
    let anchor = claims.anchor(claim, snapshot.clone(), vec![first, third]);
    let receipt = anchor.clone().from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let event = receipt.logs().iter().find_map(|it| IClaims::Anchored::decode_log(&it.inner).ok()).unwrap();
    assert_eq!((event.claim, &event.snapshot), (claim, &snapshot));
    assert_eq!(event.group, claims.groupId(claim, generation).call().await.unwrap());
    assert_eq!(claims.anchorsOf(claim).call().await.unwrap().current.digest, digest);
    assert!(anchor.from(deployer).call().await.is_err(), "once");
}

/// A condition without a kind, for a chain.
fn blank(chain_id: u64) -> IClaims::Spec {
    IClaims::Spec {
        kind: IClaims::Kind::None,
        chainId: chain_id,
        subject: Address::ZERO,
        tokenId: U256::ZERO,
        amount: U256::ZERO,
        before: 0,
        tokens: vec![],
    }
}

async fn declare<P: Provider>(claims: &IClaims::IClaimsInstance<P>, deployer: Address, terms: &IClaims::Claim) -> B256 {
    let receipt = claims.declare(terms.clone()).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let event = receipt.logs().iter().find_map(|it| IClaims::Declared::decode_log(&it.inner).ok()).unwrap();
    assert_eq!(&event.terms, terms);
    assert_eq!(event.claim, claims.claimId(terms.clone()).call().await.unwrap());
    event.claim
}

/// The contract and its first tier.
fn staking(deployment: &Deployment) -> (Address, Tier) {
    let stake = deployment.stake.as_ref().unwrap();
    (stake.contract, stake.tier(1).unwrap())
}

async fn check_stakes_chain(provider: &impl Provider, contract: Address, group: B256, expected: B256) {
    assert_eq!(IStake::new(contract, provider).groupId(1).call().await.unwrap(), group);
    assert_eq!(IStake::new(contract, provider).groupOf(group).call().await.unwrap().chain, expected);
    check_stored_chain(provider, contract, group, expected).await;
}

/// The contract's word and its storage both say that `group`'s chain is `expected`.
async fn check_chain(provider: &impl Provider, deployment: &Deployment, group: B256, expected: B256) {
    let said = IPostage::new(deployment.postage, provider).groupOf(group).call().await.unwrap();
    assert_eq!(said.chain, expected);
    check_stored_chain(provider, deployment.postage, group, expected).await;
}

async fn check_stored_chain(provider: &impl Provider, contract: Address, group: B256, expected: B256) {
    let slot = U256::from_be_bytes(leaf_log::storage_slot(group).0);
    let stored = provider.get_storage_at(contract, slot).await.unwrap();
    assert_eq!(B256::from(stored), expected);
}

#[tokio::test]
async fn the_constants_are_the_contracts() {
    let (_anvil, provider, deployer) = chain();
    let deployment = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let postage = IPostage::new(deployment.postage, &provider);
    for denomination in 0..=501 {
        let sold = postage.quote(denomination, 1).call().await.is_ok();
        assert_eq!(sold, DENOMINATIONS.contains(&denomination), "{denomination}");
    }
    assert!(postage.quote(1, MAX_COUNT).call().await.is_ok());
    assert!(postage.quote(1, MAX_COUNT + 1).call().await.is_err());
    let end = u64::from(xmtp_contracts::VALID_ISSUES_AFTER + 1) * u64::from(deployment.issue_seconds);
    assert_eq!(postage.validUntil(0).call().await.unwrap(), U256::from(end));
}

/// Runs both steps of `script/Deploy.s.sol` as a deployer would and returns what they wrote, and whether they succeeded.
fn run_script(endpoint: &str, deployer: Address, name: &str, variables: &[(&str, &str)]) -> (Option<Deployment>, bool) {
    let file = script_file(name);
    let success = run_step(&file, &broadcast_as(deployer, endpoint), variables) && confirm(&file, endpoint);
    let deployment = file.exists().then(|| Deployment::load(&file).unwrap());
    let _ = std::fs::remove_file(&file);
    (deployment, success)
}

/// Below the one folder besides `deployments` that forge may write to.
fn script_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cache/test-{}-{name}.json", std::process::id()))
}

fn broadcast_as(deployer: Address, endpoint: &str) -> Vec<String> {
    let deployer = deployer.to_string();
    // One transaction at a time: sent all at once, anvil may queue one behind a nonce that it has just mined, for ever.
    ["--broadcast", "--slow", "--unlocked", "--rpc-url", endpoint, "--sender", &deployer].map(Into::into).to_vec()
}

fn confirm(file: &Path, endpoint: &str) -> bool {
    run_step(file, &["--sig", "confirm()", "--rpc-url", endpoint].map(Into::into), &[])
}

fn run_step(file: &Path, arguments: &[String], variables: &[(&str, &str)]) -> bool {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR"));
    let broadcast = tempfile::tempdir().unwrap();
    let mut forge = Command::new(contracts.join("node_modules/.bin/forge"));
    // Whoever runs the tests may have a deployment of their own in mind.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("XMTP_") || name.starts_with("FOUNDRY_")) {
        forge.env_remove(name);
    }
    let output = forge
        .args(["script", "script/Deploy.s.sol"])
        .args(arguments)
        .env("XMTP_DEPLOYMENT", file)
        .env("FOUNDRY_BROADCAST", broadcast.path())
        .envs(variables.iter().copied())
        .current_dir(contracts)
        .output()
        .expect("contracts/node_modules/.bin/forge runs: scripts/setup installs it");
    if !output.status.success() {
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

#[tokio::test]
async fn the_script_deploys_the_same_with_the_same_defaults() {
    let (anvil, provider, deployer) = chain();
    let (scripted, success) = run_script(&anvil.endpoint(), deployer, "defaults", &[]);
    assert!(success);
    let scripted = scripted.unwrap();
    scripted.verify(&provider).await.unwrap();
    let deployed = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let alike = |it: &Deployment| {
        let tiers = it.stake.clone().unwrap().tiers;
        (it.settlement, it.unit_price, it.issue_seconds, it.burn_bps, it.bond_bps, tiers)
    };
    assert_eq!(alike(&scripted), alike(&deployed));
}

#[tokio::test]
async fn a_deployment_is_on_record_once_the_chain_has_it_and_is_not_written_over() {
    let (anvil, provider, deployer) = chain();
    let (endpoint, broadcast) = (anvil.endpoint(), broadcast_as(deployer, &anvil.endpoint()));
    let file = script_file("steps");
    let pending = file.with_added_extension("pending");
    assert!(!confirm(&file, &endpoint), "there is nothing to confirm");
    assert!(run_step(&file, &broadcast, &[]));
    assert!(pending.exists() && !file.exists());
    let mined = provider.get_block_number().await.unwrap();
    assert!(!run_step(&file, &broadcast, &[]), "what waits to be confirmed is not forgotten");

    let elsewhere = testing::anvil();
    assert!(!confirm(&file, &elsewhere.endpoint()) && !file.exists(), "nobody lives there on this chain");
    assert!(confirm(&file, &endpoint));
    assert!(file.exists() && !pending.exists());
    let first = Deployment::load(&file).unwrap();
    first.verify(&provider).await.unwrap();

    assert!(!run_step(&file, &broadcast, &[]), "it may be in use");
    assert_eq!(provider.get_block_number().await.unwrap(), mined, "nothing was deployed in vain");
    assert!(run_step(&file, &broadcast, &[("XMTP_REPLACE", "true")]));
    assert!(!confirm(&file, &endpoint), "asked for in both steps");
    assert_eq!(Deployment::load(&file).unwrap(), first);
    for path in [file, pending] {
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn the_script_takes_its_parameters_from_the_environment() {
    let (anvil, provider, deployer) = chain();
    let settlement = anvil.addresses()[3];
    let first = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let (scripted, success) = run_script(
        &anvil.endpoint(),
        deployer,
        "environment",
        &[
            ("XMTP_TOKEN", &first.token.to_string()),
            ("XMTP_SETTLEMENT", &settlement.to_string()),
            ("XMTP_UNIT_PRICE", "123"),
            ("XMTP_ISSUE_SECONDS", "3600"),
            ("XMTP_BURN_BPS", "5000"),
            ("XMTP_BOND_BPS", "2000"),
            ("XMTP_TIER_AMOUNTS", "7,340282366920938463463374607431768211455"),
            ("XMTP_TIER_LIMITS", "1,65536"),
        ],
    );
    assert!(success);
    let scripted = scripted.unwrap();
    scripted.verify(&provider).await.unwrap();
    assert_eq!((scripted.token, scripted.settlement), (first.token, settlement));
    assert_eq!((scripted.unit_price, scripted.issue_seconds), (123, 3_600));
    assert_eq!((scripted.burn_bps, scripted.bond_bps), (5_000, 2_000));
    let tiers = [Tier { amount: 7, limit: 1 }, Tier { amount: u128::MAX, limit: 65_536 }];
    assert_eq!(scripted.stake.unwrap().tiers, tiers);
    assert!(scripted.block > 0);
}

#[tokio::test]
async fn the_script_refuses_a_settlement_without_code_off_the_development_chain() {
    let anvil = testing::start(testing::anvil_builder().chain_id(1_337));
    let provider = ProviderBuilder::default().connect_http(anvil.endpoint_url());
    let deployer = anvil.addresses()[0];
    let account = anvil.addresses()[3].to_string();
    let (written, success) = run_script(&anvil.endpoint(), deployer, "codeless", &[("XMTP_SETTLEMENT", &account)]);
    assert!(!success && written.is_none());
    let (written, success) = run_script(&anvil.endpoint(), deployer, "unnamed", &[]);
    assert!(!success && written.is_none());
    assert_eq!(provider.get_block_number().await.unwrap(), 0, "nothing was deployed");

    // Any contract will do for the script; this one is at hand.
    let token = deploy(&provider, deployer, &Parameters::default()).await.unwrap().token.to_string();
    let (written, success) = run_script(&anvil.endpoint(), deployer, "coded", &[("XMTP_SETTLEMENT", &token)]);
    assert!(success && written.is_some());
}
