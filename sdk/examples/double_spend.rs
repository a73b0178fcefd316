//! Uses one stamp for two letters, which the SDK makes impossible, to show what happens: the second is refused, and the two
//! shares give the book's secret away, with which anybody may slash its bond (docs/protocol.md, "The pass circuit").
//!
//! ```text
//! XMTP_WALLET_KEY=0x… double_spend --network FILE --node URL --rpc URL --to ACCOUNT
//! ```
//!
//! Buys a book of two stamps with the wallet's $XMTP, uses index 0 for two envelopes, and prints one line of JSON. Exit
//! status: 0 if the first letter was accepted, the second refused as `nullifier_used`, and the secret recovered.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Denomination, Group, NetworkId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{Scope, Share, Signal};
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::postmark::SignedPostmark;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Index, Limit, PassSecret, Path, ProvingKey, VerifyingKey, Witness, leaf, prove, recover};
use xmtp_sdk::chain::{Chain, ChainBook};
use xmtp_sdk::client::DEV_CHAIN;
use xmtp_sdk::franking::{FrankError, find_path};
use xmtp_sdk::transport::{Authorities, Node, Proxies, Role};

type Anything = Box<dyn Error>;

/// How long the node is given to see the book.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok((report, held)) => {
            println!("{report}");
            ExitCode::from(u8::from(!held))
        }
        Err(error) => {
            println!("{}", json!({ "error": { "code": "failed", "message": error.to_string(), "hint": null } }));
            ExitCode::FAILURE
        }
    }
}

/// What the command line says.
struct Arguments {
    network: String,
    node: Url,
    rpc: Url,
    to: Account,
    wallet: PrivateKeySigner,
}

/// A cheat with one stamp.
struct Cheat {
    key: ProvingKey,
    secret: PassSecret,
    count: Limit,
    book: ChainBook,
    path: Path,
    network: NetworkId,
    postage: alloy::primitives::Address,
    rng: ChaCha20Rng,
}

async fn run() -> Result<(Value, bool), Anything> {
    let Arguments { network, node, rpc, to, wallet } = arguments()?;
    let deployment = Deployment::load(network)?;
    if deployment.chain_id != DEV_CHAIN {
        return Err("this loses a bond: it is for development networks".into());
    }
    let network = NetworkId::new(deployment.chain_id, deployment.postage);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut rng = ChaCha20Rng::from_seed(seed);
    let key = ProvingKey::dev()?;

    let count = Limit::new(2)?;
    let secret = random_secret(&mut rng)?;
    let book = buy(rpc, &deployment, wallet, &secret, count).await?;

    let (proxies, authorities) = (Proxies::default(), Authorities::default());
    let node = Node::greet(&node, &proxies, &authorities, network, VerifyingKey::dev().keccak()).await?;
    let connection = node.open(Role::AskingAndFranking);
    let started = tokio::time::Instant::now();
    let (_, path) = loop {
        match find_path(&connection, book.group, book.position, leaf(secret.commitment(), count)).await {
            Err(FrankError::NotYetRooted) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            other => break other?,
        }
    };

    let mut cheat = Cheat { key, secret, count, book, path, network, postage: deployment.postage, rng };
    let now = Clock::system().now();
    let (first, evidence) = cheat.letter(to, now, b"the first letter")?;
    let first = connection.publish_one(first, None).await?;
    let (second, other) = cheat.letter(to, now, b"another letter, the same stamp")?;
    let second = connection.publish_one(second, None).await?;

    let recovered = recover(evidence, other).is_ok_and(|it| it.commitment() == cheat.secret.commitment());
    let refused = matches!(second, Err(Refusal::NullifierUsed { .. }));
    let held = first.is_ok() && refused && recovered;
    Ok((json!({ "first": told(&first), "second": told(&second), "secret_recovered": recovered }), held))
}

impl Cheat {
    /// A letter franked with the stamp of index 0, whatever it was used for before; and what that shows of the secret.
    fn letter(
        &mut self,
        to: Account,
        sent_at: Timestamp,
        text: &[u8],
    ) -> Result<(Submission, (Signal, Share)), Anything> {
        // Nodes see ciphertext only, so any bytes will do.
        let envelope = Envelope { topic: Topic::Invite(to), sent_at, ciphertext: text.to_vec() };
        let xmtp_sdk::transport::StampGroup { denomination, issue } = self.book.group;
        let group = Group::Stamps { denomination, issue }.id(self.network, self.postage);
        let witness = Witness { secret: &self.secret, limit: self.count, index: Index::new(0), path: &self.path };
        let signal = envelope.id(self.network).signal();
        let nonce = Scope::from(xmtp_proto::field::FieldElement::from(self.rng.next_u64()));
        let external = group.external_nullifier(Purpose::Envelope, None);
        let (statement, proof) = prove(&self.key, &witness, external, signal, nonce, &mut self.rng)?;
        let stamp = pass::Stamp {
            denomination,
            issue,
            proof: pass::Proof {
                root: statement.root,
                nullifier: statement.nullifier,
                share: statement.share,
                tag: statement.tag,
                points: proof.to_bytes(),
            },
            nonce: Some(nonce),
        };
        Ok((Submission::new(envelope, vec![Pass::Stamp(stamp)])?, (signal, statement.share)))
    }
}

async fn buy(
    rpc: Url,
    deployment: &Deployment,
    wallet: PrivateKeySigner,
    secret: &PassSecret,
    count: Limit,
) -> Result<ChainBook, Anything> {
    let chain = Chain::new(rpc, deployment.clone(), Arc::new(wallet.clone()));
    let commitment = secret.commitment();
    let submitted = chain.submit(&wallet, Denomination::ALL[0], count, commitment).await?;
    chain.confirm(submitted).await?;
    Ok(chain.book(commitment).await?.ok_or("the chain lost the book")?)
}

/// As the commands say it: what was accepted, or the error.
fn told(result: &Result<SignedPostmark, Refusal>) -> Value {
    match result {
        Ok(SignedPostmark { postmark, .. }) => {
            json!({ "accepted": true, "envelope": postmark.envelope.to_string(), "cursor": postmark.cursor.0 })
        }
        Err(refusal) => {
            json!({ "error": { "code": refusal.code().as_str(), "message": refusal.to_string(), "hint": null } })
        }
    }
}

fn random_secret(rng: &mut ChaCha20Rng) -> Result<PassSecret, Anything> {
    let mut bytes = zeroize::Zeroizing::new([0; 64]);
    rng.fill_bytes(bytes.as_mut_slice());
    Ok(PassSecret::from_wide_bytes(&bytes)?)
}

fn arguments() -> Result<Arguments, Anything> {
    let mut given = std::env::args().skip(1);
    let (mut network, mut node, mut rpc, mut to) = (None, None, None, None);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--network" => network = Some(value),
            "--node" => node = Some(value.parse()?),
            "--rpc" => rpc = Some(value.parse()?),
            "--to" => to = Some(value.parse()?),
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    let missing = |name: &str| format!("{name} is missing");
    Ok(Arguments {
        network: network.ok_or_else(|| missing("--network"))?,
        node: node.ok_or_else(|| missing("--node"))?,
        rpc: rpc.ok_or_else(|| missing("--rpc"))?,
        to: to.ok_or_else(|| missing("--to"))?,
        wallet: std::env::var("XMTP_WALLET_KEY").map_err(|_| missing("XMTP_WALLET_KEY"))?.parse()?,
    })
}
