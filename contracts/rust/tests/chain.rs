//! The bindings, the bytecode and both ways of deploying, on a real chain.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{path::Path, process::Command};

use alloy::{
    network::Ethereum,
    node_bindings::AnvilInstance,
    primitives::{Address, B256, U256},
    providers::{Provider, ProviderBuilder},
    sol,
    sol_types::SolEvent,
};
use xmtp_contracts::{
    DENOMINATIONS, DeployError, Deployment, IPostage, IXmtpToken, MAX_COUNT, Parameters, VerifyError, deploy,
    leaf_log::{self, Operation},
    testing,
};

sol! {
    #[sol(rpc)]
    interface IPoseidon {
        function hash(uint256[1] memory input) external pure returns (uint256);
    }
}

/// A chain, a provider for it whose accounts the chain signs for, and who deploys.
fn chain() -> (AnvilInstance, impl Provider<Ethereum> + Clone, Address) {
    let anvil = testing::anvil();
    // Without fillers: the chain numbers and signs, and a refused transaction leaves no gap in a count kept here.
    let provider = ProviderBuilder::default().connect_http(anvil.endpoint_url());
    let deployer = anvil.addresses()[0];
    (anvil, provider, deployer)
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

/// The contract's word and its storage both say that `group`'s chain is `expected`.
async fn check_chain(provider: &impl Provider, deployment: &Deployment, group: B256, expected: B256) {
    let said = IPostage::new(deployment.postage, provider).groupOf(group).call().await.unwrap();
    assert_eq!(said.chain, expected);
    let slot = U256::from_be_bytes(leaf_log::storage_slot(group).0);
    let stored = provider.get_storage_at(deployment.postage, slot).await.unwrap();
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

/// Runs `script/Deploy.s.sol` as a deployer would and returns where it wrote, and whether it succeeded.
fn run_script(endpoint: &str, deployer: Address, name: &str, variables: &[(&str, &str)]) -> (Option<Deployment>, bool) {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Below the one folder besides `deployments` that forge may write to.
    let file = contracts.join(format!("cache/test-{}-{name}.json", std::process::id()));
    let broadcast = tempfile::tempdir().unwrap();
    let mut forge = Command::new(contracts.join("node_modules/.bin/forge"));
    // Whoever runs the tests may have a deployment of their own in mind.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("XMTP_") || name.starts_with("FOUNDRY_")) {
        forge.env_remove(name);
    }
    let output = forge
        // One transaction at a time: sent all at once, anvil may queue one behind a nonce that it has just mined, for ever.
        .args(["script", "script/Deploy.s.sol", "--broadcast", "--slow", "--unlocked", "--rpc-url", endpoint])
        .args(["--sender", &deployer.to_string()])
        .env("XMTP_DEPLOYMENT", &file)
        .env("FOUNDRY_BROADCAST", broadcast.path())
        .envs(variables.iter().copied())
        .current_dir(contracts)
        .output()
        .expect("contracts/node_modules/.bin/forge runs: scripts/setup installs it");
    let deployment = file.exists().then(|| Deployment::load(&file).unwrap());
    let _ = std::fs::remove_file(&file);
    if deployment.is_none() {
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    (deployment, output.status.success())
}

#[tokio::test]
async fn the_script_deploys_the_same_with_the_same_defaults() {
    let (anvil, provider, deployer) = chain();
    let (scripted, success) = run_script(&anvil.endpoint(), deployer, "defaults", &[]);
    assert!(success);
    let scripted = scripted.unwrap();
    scripted.verify(&provider).await.unwrap();
    let deployed = deploy(&provider, deployer, &Parameters::default()).await.unwrap();
    let alike = |it: &Deployment| (it.settlement, it.unit_price, it.issue_seconds, it.burn_bps, it.bond_bps);
    assert_eq!(alike(&scripted), alike(&deployed));
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
        ],
    );
    assert!(success);
    let scripted = scripted.unwrap();
    scripted.verify(&provider).await.unwrap();
    assert_eq!((scripted.token, scripted.settlement), (first.token, settlement));
    assert_eq!((scripted.unit_price, scripted.issue_seconds), (123, 3_600));
    assert_eq!((scripted.burn_bps, scripted.bond_bps), (5_000, 2_000));
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
