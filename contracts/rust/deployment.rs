//! Where the contracts live, and what was fixed when they were deployed: `deployments/<chainId>.json`, which
//! `script/Deploy.s.sol` writes.

use std::{collections::BTreeMap, fs, io, path::Path, path::PathBuf};

use alloy::{
    contract::Error as CallError,
    primitives::{Address, B256},
    providers::Provider,
    transports::{RpcError, TransportErrorKind},
};
use serde::{Deserialize, Serialize};

use crate::{IClaims, IPostage, IStake, MAX_LIMIT, OfferedClaim};

/// One deployment. Everything in it but `block`, `offered_claims`, `verifying_key` and `tier_names` is part of the contracts and
/// never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deployment {
    /// The chain's id (EIP-155).
    pub chain_id: u64,
    /// No event of these contracts is in an earlier block.
    pub block: u64,
    /// The $XMTP token.
    pub token: Address,
    /// `Postage`.
    pub postage: Address,
    /// The Poseidon library that `Postage` is linked with.
    pub poseidon: Address,
    /// Who may release what `Postage` holds.
    pub settlement: Address,
    /// The id of the network: every digest and signature names it.
    pub network_id: B256,
    /// Price of a unit of postage, in wei of the token; decimal text in the file. At most 96 bits.
    #[serde(with = "decimal")]
    pub unit_price: u128,
    /// Length of an issue.
    pub issue_seconds: u32,
    /// Share of a sale that is burned, in basis points.
    pub burn_bps: u16,
    /// The bond as a share of face value, in basis points.
    pub bond_bps: u16,
    /// Where tokens are staked, if the network has stakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stake: Option<Staking>,
    /// `Claims`, if the network has claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Address>,
    /// The claims that nodes of the network take, by name; the operator writes them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered_claims: Vec<OfferedClaim>,
    /// The keccak hash of the network's verifying key for proofs, out of a ceremony; the operator writes it in, the script
    /// does not know it. Without one it is the development key's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifying_key: Option<B256>,
    /// What people call the tiers of stakes, each by its number; the operator writes it in, the chain does not know it. Claims have
    /// their names in `offered_claims`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tier_names: BTreeMap<String, u32>,
}

/// The `Stake` contract, and what it offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Staking {
    /// `Stake`.
    pub contract: Address,
    /// The tiers from number 1 on: see [`Staking::tier`].
    pub tiers: Vec<Tier>,
}

/// What is locked for which right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// In wei of the token; decimal text in the file.
    #[serde(with = "decimal")]
    pub amount: u128,
    /// Envelopes a day: 1 to 65,536.
    pub limit: u32,
}

impl Staking {
    /// The tier with this number, if there is one. Numbers begin at 1.
    pub fn tier(&self, number: u32) -> Option<Tier> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.tiers.get(index).copied()
    }
}

/// Why a deployment could not be loaded. The operator's to mend: another path, or a file from the script again.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file, or it may not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not the JSON of a deployment: a field is missing, unknown or out of its range.
    #[error("{path}: not a deployment: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A value that no deployment has.
    #[error("{path}: {field} is {wrong}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field, as in the file.
        field: &'static str,
        /// What is wrong with it.
        wrong: &'static str,
    },
}

/// Why a chain does not have this deployment. The operator's to mend, but for [`VerifyError::Rpc`].
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The RPC endpoint serves another chain.
    #[error("the chain's id is {found}, the deployment is for {expected}")]
    Chain {
        /// In the deployment.
        expected: u64,
        /// At the endpoint.
        found: u64,
    },
    /// There is no contract at the address, on this chain and as far as the endpoint has it.
    #[error("there is no contract at {0}")]
    NoCode(Address),
    /// The contract says otherwise than the file.
    #[error("{0} differs between the deployment and the contract")]
    Differs(&'static str),
    /// The contract at the address is not a `Postage`.
    #[error("not the postage contract: {0}")]
    NotPostage(CallError),
    /// The contract at the address is not a `Stake`.
    #[error("not the stake contract: {0}")]
    NotStake(CallError),
    /// The contract at the address is not a `Claims`.
    #[error("not the claims contract: {0}")]
    NotClaims(CallError),
    /// The endpoint did not answer. Nobody's fault here; try again.
    #[error("the chain's RPC endpoint: {0}")]
    Rpc(#[from] RpcError<TransportErrorKind>),
}

impl Deployment {
    /// Reads and checks a file. Whether the chain agrees is [`Deployment::verify`]'s to say.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.into(), source })?;
        let deployment: Self =
            serde_json::from_str(&text).map_err(|source| LoadError::Parse { path: path.into(), source })?;
        match deployment.fault() {
            None => Ok(deployment),
            Some((field, wrong)) => Err(LoadError::Value { path: path.into(), field, wrong }),
        }
    }

    /// Asks the chain whether this is what is deployed there.
    pub async fn verify(&self, provider: impl Provider) -> Result<(), VerifyError> {
        let found = provider.get_chain_id().await?;
        if found != self.chain_id {
            return Err(VerifyError::Chain { expected: self.chain_id, found });
        }
        for contract in [self.token, self.postage, self.poseidon] {
            if provider.get_code_at(contract).await?.is_empty() {
                return Err(VerifyError::NoCode(contract));
            }
        }
        let postage = IPostage::new(self.postage, &provider);
        let error = |error| call_error(error, VerifyError::NotPostage);
        same("networkId", postage.networkId().call().await.map_err(error)? == self.network_id)?;
        same("token", postage.TOKEN().call().await.map_err(error)? == self.token)?;
        same("settlement", postage.SETTLEMENT().call().await.map_err(error)? == self.settlement)?;
        same("unitPrice", postage.UNIT_PRICE().call().await.map_err(error)?.to::<u128>() == self.unit_price)?;
        same("issueSeconds", postage.ISSUE_SECONDS().call().await.map_err(error)? == self.issue_seconds)?;
        same("burnBps", postage.BURN_BPS().call().await.map_err(error)? == self.burn_bps)?;
        same("bondBps", postage.BOND_BPS().call().await.map_err(error)? == self.bond_bps)?;
        if let Some(stake) = &self.stake {
            self.verify_stake(stake, &provider).await?;
        }
        if let Some(claims) = self.claims {
            self.verify_claims(claims, &provider).await?;
        }
        Ok(())
    }

    async fn verify_claims(&self, contract: Address, provider: impl Provider) -> Result<(), VerifyError> {
        if provider.get_code_at(contract).await?.is_empty() {
            return Err(VerifyError::NoCode(contract));
        }
        let claims = IClaims::new(contract, provider);
        let error = |error| call_error(error, VerifyError::NotClaims);
        // A `Stake` knows its `Postage` too, but no generations.
        claims.currentGeneration().call().await.map_err(error)?;
        same("claims.postage", claims.POSTAGE().call().await.map_err(error)? == self.postage)?;
        for offered in &self.offered_claims {
            // What was never declared has no terms.
            let there = claims.claimOf(offered.id(self.network_id.0.into()).0).call().await.map_err(error)?;
            same("offeredClaims", there == offered.into())?;
        }
        Ok(())
    }

    /// The claim of this name, if the network offers one.
    pub fn offered_claim(&self, name: &str) -> Option<&OfferedClaim> {
        self.offered_claims.iter().find(|it| it.name == name)
    }

    async fn verify_stake(&self, stake: &Staking, provider: impl Provider) -> Result<(), VerifyError> {
        let Staking { contract, tiers } = stake;
        if provider.get_code_at(*contract).await?.is_empty() {
            return Err(VerifyError::NoCode(*contract));
        }
        let stake = IStake::new(*contract, provider);
        let error = |error| call_error(error, VerifyError::NotStake);
        // Its token and its network are that one's.
        same("stake.postage", stake.POSTAGE().call().await.map_err(error)? == self.postage)?;
        let offered = stake.tiers().call().await.map_err(error)?;
        let alike = |(it, there): (&Tier, &IStake::Tier)| (it.amount, it.limit) == (there.amount, there.limit);
        same("stake.tiers", offered.len() == tiers.len() && tiers.iter().zip(&offered).all(alike))
    }

    /// The first value that no deployment has.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let Self {
            chain_id,
            block: _,
            token,
            postage,
            poseidon,
            settlement,
            network_id,
            unit_price,
            issue_seconds,
            burn_bps,
            bond_bps,
            stake,
            claims,
            offered_claims,
            verifying_key,
            tier_names: _,
        } = self;
        if let Some(wrong) = offered_claims.iter().find_map(OfferedClaim::fault) {
            return Some(("offeredClaims", wrong));
        }
        let mut names: Vec<_> = offered_claims.iter().map(|it| &it.name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Some(("offeredClaims.name", "there twice"));
        }
        if offered_claims.iter().any(|it| it.issuers.is_empty() && it.chain_id != *chain_id) {
            return Some((
                "offeredClaims.chainId",
                "another chain's than this contract can ask, and nobody vouches for it",
            ));
        }
        if claims.is_none() && !offered_claims.is_empty() {
            return Some(("offeredClaims", "of no use without a `Claims` contract"));
        }
        let tiers = stake.iter().flat_map(|it| &it.tiers);
        let zero = [
            ("chainId", *chain_id == 0),
            ("token", token.is_zero()),
            ("postage", postage.is_zero()),
            ("poseidon", poseidon.is_zero()),
            ("settlement", settlement.is_zero()),
            ("networkId", network_id.is_zero()),
            ("unitPrice", *unit_price == 0),
            ("issueSeconds", *issue_seconds == 0),
            ("burnBps", *burn_bps == 0),
            ("bondBps", *bond_bps == 0),
            ("claims", claims.is_some_and(|it| it.is_zero())),
            ("verifyingKey", *verifying_key == Some(B256::ZERO)),
            ("stake.contract", stake.as_ref().is_some_and(|it| it.contract.is_zero())),
            ("stake.tiers", stake.as_ref().is_some_and(|it| it.tiers.is_empty())),
            ("stake.tiers.amount", tiers.clone().any(|it| it.amount == 0)),
            ("stake.tiers.limit", tiers.clone().any(|it| it.limit == 0)),
        ];
        let large = [
            ("unitPrice", *unit_price >> 96 != 0),
            ("burnBps", *burn_bps > 10_000),
            ("bondBps", *bond_bps > 10_000),
            ("stake.tiers.limit", tiers.clone().any(|it| it.limit > MAX_LIMIT)),
        ];
        let first = |of: &[(&'static str, bool)], wrong| of.iter().find(|it| it.1).map(|it| (it.0, wrong));
        first(&zero, "zero").or_else(|| first(&large, "too large"))
    }
}

const fn same(field: &'static str, same: bool) -> Result<(), VerifyError> {
    if same { Ok(()) } else { Err(VerifyError::Differs(field)) }
}

/// A contract that answers otherwise than it should is the file's fault, silence is the endpoint's.
fn call_error(error: CallError, other: fn(CallError) -> VerifyError) -> VerifyError {
    match error {
        CallError::TransportError(error) if error.as_error_resp().is_none() => VerifyError::Rpc(error),
        error => other(error),
    }
}

/// Wei as decimal text: numbers in JSON are exact to 2^53 only.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "chainId": 31337, "block": 7, "unitPrice": "1000000000000000", "issueSeconds": 7889400, "burnBps": 3000, "bondBps": 1000,
        "token": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512", "postage": "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0",
        "poseidon": "0xBE7fAd9dBd6bCaD0b9D13161fD60418206750aAf", "settlement": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "networkId": "0x52258f1ff7861709f22b094b045544c68e588077951d0ccdeb6e67a9696609d9"
    }"#;

    /// The file of a network that has stakes too.
    fn with_stake() -> String {
        let stake = r#""stake": {"contract": "0x1111111111111111111111111111111111111111",
            "tiers": [{"amount": "100000000000000000000", "limit": 100}, {"amount": "7", "limit": 65536}]}, "#;
        FILE.replacen(r#""block""#, &format!(r#"{stake}"block""#), 1)
    }

    /// Loads `FILE` with the first `from` in it replaced by `to`.
    fn load(from: &str, to: &str) -> Result<Deployment, LoadError> {
        load_from(FILE, from, to)
    }

    fn load_from(file: &str, from: &str, to: &str) -> Result<Deployment, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("31337.json");
        assert!(file.contains(from));
        fs::write(&path, file.replacen(from, to, 1)).unwrap();
        Deployment::load(&path)
    }

    #[test]
    fn a_file_of_the_script_is_read() {
        let deployment = load("", "").unwrap();
        assert_eq!((deployment.chain_id, deployment.unit_price), (31_337, 1_000_000_000_000_000));
        let written = serde_json::to_string(&deployment).unwrap();
        assert_eq!(serde_json::from_str::<Deployment>(&written).unwrap(), deployment);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Deployment::load("nowhere/1.json").unwrap_err();
        assert!(matches!(&error, LoadError::Read { .. }));
        assert!(error.to_string().contains("nowhere/1.json"));
    }

    #[test]
    fn what_is_no_deployment_is_refused() {
        for (from, to) in [
            (r#""block": 7, "#, ""),                        // a field is missing
            (r#""block": 7"#, r#""block": 7, "owner": 1"#), // a field is unknown
            (r#""1000000000000000""#, "1000000000000000"),  // wei as a number
            (r#""1000000000000000""#, r#""-1""#),           // below zero
            ("7889400", "4294967296"),                      // above 32 bits
            ("0xe7f1", "0xe7f1ff"),                         // too long
            ("52258f1f", "5225"),                           // too short
        ] {
            assert!(matches!(load(from, to), Err(LoadError::Parse { .. })), "{from} → {to}");
        }
    }

    #[test]
    fn values_that_no_deployment_has_are_refused() {
        for (from, to, name) in [
            ("31337", "0", "chainId"),
            ("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512", "0x0000000000000000000000000000000000000000", "token"),
            ("1000000000000000", "0", "unitPrice"),
            ("1000000000000000", "79228162514264337593543950336", "unitPrice"),
            ("7889400", "0", "issueSeconds"),
            ("3000", "10001", "burnBps"),
            (r#""bondBps": 1000"#, r#""bondBps": 0"#, "bondBps"),
        ] {
            assert!(matches!(load(from, to), Err(LoadError::Value { field, .. }) if field == name), "{name}");
        }
    }

    #[test]
    fn a_network_may_have_stakes_and_need_not() {
        assert_eq!(load("", "").unwrap().stake, None);
        let deployment = load_from(&with_stake(), "", "").unwrap();
        let stake = deployment.stake.clone().unwrap();
        assert_eq!(stake.tier(1), Some(Tier { amount: 100_000_000_000_000_000_000, limit: 100 }));
        assert_eq!(stake.tier(2), Some(Tier { amount: 7, limit: 65_536 }));
        assert_eq!((stake.tier(0), stake.tier(3)), (None, None));
        let written = serde_json::to_string(&deployment).unwrap();
        assert_eq!(serde_json::from_str::<Deployment>(&written).unwrap(), deployment);
    }

    #[test]
    fn a_network_may_have_claims_and_need_not() {
        assert_eq!(load("", "").unwrap().claims, None);
        let with = |address| format!(r#""claims": "{address}", "block""#);
        let deployment = load(r#""block""#, &with(Address::repeat_byte(0x22))).unwrap();
        assert_eq!(deployment.claims, Some(Address::repeat_byte(0x22)));
        let written = serde_json::to_string(&deployment).unwrap();
        assert_eq!(serde_json::from_str::<Deployment>(&written).unwrap(), deployment);
        let error = load(r#""block""#, &with(Address::ZERO)).unwrap_err();
        assert!(matches!(error, LoadError::Value { field: "claims", .. }), "{error}");
    }

    #[test]
    fn a_network_may_name_its_verifying_key_and_need_not() {
        assert_eq!(load("", "").unwrap().verifying_key, None);
        let with = |hash| format!(r#""verifyingKey": "{hash}", "block""#);
        let deployment = load(r#""block""#, &with(B256::repeat_byte(0x22))).unwrap();
        assert_eq!(deployment.verifying_key, Some(B256::repeat_byte(0x22)));
        let written = serde_json::to_string(&deployment).unwrap();
        assert_eq!(serde_json::from_str::<Deployment>(&written).unwrap(), deployment);
        let error = load(r#""block""#, &with(B256::ZERO)).unwrap_err();
        assert!(matches!(error, LoadError::Value { field: "verifyingKey", .. }), "{error}");
    }

    #[test]
    fn stakes_that_no_deployment_has_are_refused() {
        for (from, to, name) in [
            (
                "0x1111111111111111111111111111111111111111",
                "0x0000000000000000000000000000000000000000",
                "stake.contract",
            ),
            (
                r#"{"amount": "100000000000000000000", "limit": 100}, {"amount": "7", "limit": 65536}"#,
                "",
                "stake.tiers",
            ),
            (r#""7""#, r#""0""#, "stake.tiers.amount"),
            ("65536", "0", "stake.tiers.limit"),
            ("65536", "65537", "stake.tiers.limit"),
        ] {
            let error = load_from(&with_stake(), from, to).unwrap_err();
            assert!(matches!(error, LoadError::Value { field, .. } if field == name), "{name}: {error}");
        }
        for (from, to) in [(r#""7""#, "7"), (r#", "limit": 100"#, ""), (r#""limit": 100"#, r#""limit": 100, "x": 1"#)] {
            assert!(matches!(load_from(&with_stake(), from, to), Err(LoadError::Parse { .. })), "{from} → {to}");
        }
    }
}
