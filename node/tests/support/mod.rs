//! A world for a test: a chain, a node on it, people, and stamps. Everything real but the people.

#![allow(dead_code)] // Each test binary uses its part.

pub(crate) mod authority;
pub(crate) mod claims;
pub(crate) mod clients;
pub(crate) mod proxies;
pub(crate) mod stakes;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::node_bindings::AnvilInstance;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use reqwest::StatusCode;
use tempfile::TempDir;
use tonic::transport::Channel;
use xmtp_contracts::{Deployment, IPostage, IXmtpToken, OfferedClaim, Parameters, deploy};
use xmtp_node::config::{Config, Overrides};
use xmtp_node::node::Node;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{self, Denomination, Group, Issue, NetworkId, OperatorId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{Commitment, FieldElement, Leaf, Root, Scope};
use xmtp_proto::key_bundle::{AttestedKeys, KeyBundle};
use xmtp_proto::pass::{self, Member, Owner, Pass, Stamp};
use xmtp_proto::policy::{Policy, SignedPolicy};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::node_client::NodeClient;
use xmtp_proto::wire::{self, publish_result};
use xmtp_prover::{
    Bucket, Index, Limit, PassSecret, Path as LeafPath, ProvingKey, Statement, VerifyingKey, Witness, leaf, prove,
};

/// A chain, a node, and a buyer with $XMTP.
pub(crate) struct World {
    pub(crate) node: Option<Node>,
    pub(crate) client: NodeClient<Channel>,
    pub(crate) deployment: Deployment,
    pub(crate) network: NetworkId,
    pub(crate) provider: DynProvider,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
    buyer: Address,
    config: Config,
    anvil: AnvilInstance,
}

/// A book that was bought and that the node knows.
pub(crate) struct Book {
    pub(crate) secret: PassSecret,
    pub(crate) denomination: Denomination,
    pub(crate) issue: Issue,
    pub(crate) limit: Limit,
    pub(crate) position: u32,
}

/// How a stamp's tag is scoped.
#[derive(Clone, Copy)]
pub(crate) enum Tag {
    ToTopic,
    ToNonce,
}

/// Somebody with a wallet and messaging keys.
pub(crate) struct Person {
    pub(crate) wallet: PrivateKeySigner,
    pub(crate) identity: SigningKey,
    pub(crate) account: Account,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with("all()", Clock::system()).await
    }

    /// A network that asks this of accounts that join. Its chain begins when the clock says.
    pub(crate) async fn start_with(joining: &str, clock: Clock) -> Self {
        let anvil = xmtp_contracts::testing::anvil_at(clock.now().as_secs());
        Self::start_on(anvil, joining, clock, None).await
    }

    /// A network on this chain whose proofs are verified with this key, and its deployment says so.
    pub(crate) async fn start_on(
        anvil: AnvilInstance,
        joining: &str,
        clock: Clock,
        verifying_key: Option<&VerifyingKey>,
    ) -> Self {
        let key = PrivateKeySigner::from_slice(&anvil.keys()[0].to_bytes()).unwrap();
        let buyer = key.address();
        let provider =
            ProviderBuilder::new().wallet(EthereumWallet::from(key)).connect_http(anvil.endpoint_url()).erased();
        let mut deployment = deploy(&provider, buyer, &Parameters::default()).await.unwrap();
        deployment.verifying_key = verifying_key.map(VerifyingKey::keccak);
        let token = IXmtpToken::new(deployment.token, &provider);
        token.approve(deployment.postage, U256::MAX).send().await.unwrap().get_receipt().await.unwrap();

        let folder = TempDir::new().unwrap();
        let mut config = configure(folder.path(), &anvil, &deployment, joining);
        if let Some(key) = verifying_key {
            let file = folder.path().join("pass.vk");
            fs::write(&file, key.to_bytes()).unwrap();
            config.proofs.verifying_key = Some(file);
        }
        let node = Node::bind(config.clone(), clock.clone()).await.unwrap();
        let client = connect(&node).await;
        let network = NetworkId(deployment.network_id);
        Self { node: Some(node), client, deployment, network, provider, clock, folder, buyer, config, anvil }
    }

    pub(crate) fn anvil(&self) -> &AnvilInstance {
        &self.anvil
    }

    /// Stops the node and starts another on the same folder.
    pub(crate) async fn restart(&mut self) {
        self.node.take().unwrap().shutdown().await.unwrap();
        self.rebind().await;
    }

    /// Stops the node and starts another on the same folder, where the first one listened.
    pub(crate) async fn restart_in_place(&mut self) {
        let node = self.node.take().unwrap();
        self.config.listen = node.address();
        node.shutdown().await.unwrap();
        self.rebind().await;
    }

    /// Stops the node and starts another on the same folder, with a deployment that names no stakes.
    pub(crate) async fn forget_stakes(&mut self) {
        let deployment = Deployment { stake: None, ..self.deployment.clone() };
        fs::write(&self.config.chain.deployment, serde_json::to_vec(&deployment).unwrap()).unwrap();
        self.restart().await;
    }

    /// Stops the node and starts another on the same folder, which asks this RPC.
    pub(crate) async fn restart_through(&mut self, rpc: url::Url) {
        self.config.chain.rpc_url = rpc;
        self.restart().await;
    }

    /// Starts a node, where none runs, that asks the chain there.
    pub(crate) async fn start_through(&mut self, rpc: url::Url) {
        self.config.chain.rpc_url = rpc;
        self.rebind().await;
    }

    /// Starts the node anew, with these claims.
    pub(crate) async fn offer(&mut self, claims: Vec<OfferedClaim>) {
        self.deployment.offered_claims = claims;
        let file = serde_json::to_vec(&self.deployment).unwrap();
        fs::write(self.folder.path().join("deployment.json"), file).unwrap();
        self.restart().await;
    }

    /// Starts the node anew with this requirement at invite topics.
    pub(crate) async fn ask_at_invites(&mut self, requirement: &str) {
        self.config.rules.invite = requirement.parse().unwrap();
        self.restart_in_place().await;
    }

    /// Starts the node anew with this requirement of accounts that join.
    pub(crate) async fn ask_of_who_joins(&mut self, requirement: &str) {
        self.config.rules.joining = requirement.parse().unwrap();
        self.restart_in_place().await;
    }

    /// Starts the node anew with this bound on clients that take nothing.
    pub(crate) async fn limit_sending(&mut self, timeout: Duration) {
        self.config.limits.send_timeout = timeout;
        self.restart_in_place().await;
    }

    /// Starts a node on the folder of one that has ended.
    pub(crate) async fn rebind(&mut self) {
        let node = Node::bind(self.config.clone(), self.clock.clone()).await.unwrap();
        self.client = connect(&node).await;
        self.node = Some(node);
    }

    pub(crate) async fn publish(&mut self, submission: Submission) -> Result<SignedPostmark, Refusal> {
        self.publish_wire(submission.into(), None).await
    }

    pub(crate) async fn publish_wire(
        &mut self,
        submission: wire::Submission,
        expected_head: Option<Cursor>,
    ) -> Result<SignedPostmark, Refusal> {
        let publication =
            wire::Publication { submission: Some(submission), expected_head: expected_head.map(|head| head.0) };
        let request = wire::PublishRequest { publications: vec![publication] };
        let results = self.client.publish(request).await.unwrap().into_inner().results;
        let [result] = results.try_into().unwrap();
        outcome(result)
    }

    /// Buys a book with a secret of its own, and waits until the node knows its leaf.
    pub(crate) async fn buy(&mut self, denomination: u32, count: u32, seed: u8) -> Book {
        let secret = PassSecret::from_wide_bytes(&[seed; 64]).unwrap();
        let postage = IPostage::new(self.deployment.postage, &self.provider);
        let commitment = secret.commitment().field().to_u256();
        let receipt = postage.buy(denomination, count, commitment).send().await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status(), "the purchase was reverted");
        let bought = receipt.decoded_log::<IPostage::Bought>().unwrap();
        let book = Book {
            secret,
            denomination: denomination.try_into().unwrap(),
            issue: Issue(bought.issue),
            limit: Limit::new(count).unwrap(),
            position: bought.position,
        };
        let leaves = |roots: &[wire::VolumeRoot]| roots.iter().map(|root| root.leaves).max().unwrap_or_default();
        until("the node knows the book", async || {
            let roots = self.client.clone().get_roots(roots_request(&book)).await;
            roots.is_ok_and(|roots| leaves(&roots.into_inner().roots) > book.position)
        })
        .await;
        book
    }

    /// Tells the chain the book's secret.
    pub(crate) async fn slash(&self, book: &Book) {
        let postage = IPostage::new(self.deployment.postage, &self.provider);
        let secret = U256::from_be_bytes(*book.secret.to_be_bytes());
        let receipt = postage.slash(secret, Address::ZERO).send().await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status(), "the slash was reverted");
    }

    /// A stamp of a book for an envelope, under a root that the node names.
    pub(crate) async fn stamp(&mut self, book: &Book, index: u16, envelope: &Envelope, tag: Tag) -> Stamp {
        let nonce = match tag {
            Tag::ToTopic => None,
            Tag::ToNonce => Some(Scope::from(FieldElement::from(u64::from(index) + 77))),
        };
        let scope = nonce.unwrap_or_else(|| derive::scope(self.network, &envelope.topic));
        self.stamp_with(book, index, envelope.id(self.network), scope, nonce).await
    }

    pub(crate) async fn stamp_with(
        &mut self,
        book: &Book,
        index: u16,
        id: derive::EnvelopeId,
        scope: Scope,
        nonce: Option<Scope>,
    ) -> Stamp {
        let path = self.bucket(book).await.path(book.position).unwrap();
        let witness = Witness { secret: &book.secret, limit: book.limit, index: Index::new(index), path: &path };
        let group = book.group().id(self.network, self.deployment.postage);
        let (statement, proof) = prove(
            proving_key(),
            &witness,
            group.external_nullifier(Purpose::Envelope, None),
            id.signal(),
            scope,
            &mut ChaCha20Rng::from_seed([9; 32]),
        )
        .unwrap();
        let Statement { root, share, nullifier, tag, external_nullifier: _, signal: _, scope: _ } = statement;
        let proof = pass::Proof { root, nullifier, share, tag, points: proof.to_bytes() };
        Stamp { denomination: book.denomination, issue: book.issue, proof, nonce }
    }

    pub(crate) async fn newest_root(&mut self, book: &Book) -> Root {
        let roots = self.client.get_roots(roots_request(book)).await.unwrap().into_inner().roots;
        let newest = roots.into_iter().max_by_key(|root| root.leaves).unwrap();
        Root::from_be_bytes(newest.root.try_into().unwrap()).unwrap()
    }

    pub(crate) async fn bucket(&mut self, book: &Book) -> Bucket {
        let root = self.newest_root(book).await;
        let request = wire::GetBucketRequest {
            group: Some(wire::get_bucket_request::Group::Stamps(stamp_group(book))),
            root: root.as_bytes().to_vec(),
            bucket: Bucket::index_of(book.position),
        };
        fetch_bucket(&mut self.client, request, root).await
    }

    /// The operator, as passes name it.
    pub(crate) async fn operator(&mut self) -> OperatorId {
        let network = self.client.get_network(wire::GetNetworkRequest {}).await.unwrap().into_inner();
        OperatorId::new(Address::from_slice(&network.operator))
    }

    /// The present group of members, and its newest root if it has one.
    pub(crate) async fn members(&mut self) -> (wire::MemberGroup, Option<Root>) {
        let operator = self.operator().await.as_bytes().to_vec();
        let group = wire::MemberGroup { operator, generation: Generation::at(self.clock.now()).0 };
        let request = wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Members(group.clone())) };
        let roots = self.client.get_roots(request).await.map(|roots| roots.into_inner().roots).unwrap_or_default();
        let root = roots.into_iter().max_by_key(|root| root.block).map(|root| root.root.try_into().unwrap());
        (group, root.map(|root| Root::from_be_bytes(root).unwrap()))
    }

    /// The way from a member's leaf to the newest root; nothing if the leaf is not there.
    pub(crate) async fn path_of(&mut self, commitment: Commitment) -> Option<LeafPath> {
        let (group, root) = self.members().await;
        let root = root?;
        let request = wire::GetBucketRequest {
            group: Some(wire::get_bucket_request::Group::Members(group)),
            root: root.as_bytes().to_vec(),
            bucket: 0,
        };
        let bucket = fetch_bucket(&mut self.client, request, root).await;
        let leaf = leaf(commitment, MEMBER_LIMIT);
        let position = bucket.leaves().iter().position(|it| *it == leaf)?;
        Some(bucket.path(u32::try_from(position).unwrap()).unwrap())
    }

    /// Waits until the node knows a member.
    pub(crate) async fn admitted(&mut self, person: &Person) -> LeafPath {
        for _ in 0..1_500 {
            if let Some(path) = self.path_of(person.secret().commitment()).await {
                return path;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited in vain: the node knows the member");
    }

    /// A membership of the present quarter for an envelope.
    pub(crate) async fn member(
        &mut self,
        person: &Person,
        purpose: Purpose,
        epoch: Epoch,
        index: u16,
        envelope: &Envelope,
    ) -> Member {
        let path = self.admitted(person).await;
        self.member_under(&path, person, purpose, epoch, index, envelope).await
    }

    pub(crate) async fn member_under(
        &mut self,
        path: &LeafPath,
        person: &Person,
        purpose: Purpose,
        epoch: Epoch,
        index: u16,
        envelope: &Envelope,
    ) -> Member {
        let (operator, generation) = (self.operator().await, Generation::at(self.clock.now()).0);
        let secret = person.secret();
        let witness = Witness { secret: &secret, limit: MEMBER_LIMIT, index: Index::new(index), path };
        let group = Group::Members { operator, generation }.id(self.network, self.deployment.postage);
        let (statement, proof) = prove(
            proving_key(),
            &witness,
            group.external_nullifier(purpose, Some(epoch)),
            envelope.id(self.network).signal(),
            derive::scope(self.network, &envelope.topic),
            &mut ChaCha20Rng::from_seed([9; 32]),
        )
        .unwrap();
        let Statement { root, share, nullifier, tag, external_nullifier: _, signal: _, scope: _ } = statement;
        let proof = pass::Proof { root, nullifier, share, tag, points: proof.to_bytes() };
        Member { operator, generation, epoch, proof }
    }

    /// Sets the clock, and waits until the node has looked at its chain since.
    pub(crate) async fn set_clock(&mut self, now: Timestamp) {
        self.clock.set(now);
        let chain = self.node.as_ref().unwrap().chain();
        chain.wait_for(|view| view.as_of().is_some_and(|as_of| as_of >= now)).await.unwrap();
    }

    /// Somebody who has published a key bundle.
    pub(crate) async fn join(&mut self, seed: u8) -> Person {
        let person = Person::new(seed);
        let bundle = person.bundle(self.network, 1, 1);
        let submission = person.own(self, Topic::Contact(person.account), bundle.to_bytes());
        self.publish(submission).await.unwrap();
        person
    }

    /// Publishes a policy.
    pub(crate) async fn set_policy(&mut self, person: &Person, version: u64, requirement: &str) {
        let policy = person.policy(self.network, version, requirement);
        let submission = person.own(self, Topic::Policy(person.account), policy.to_bytes());
        self.publish(submission).await.unwrap();
    }

    /// A letter that nobody can read, told from others by its text.
    pub(crate) fn letter(&self, to: &Person, text: &str) -> Envelope {
        Envelope { topic: Topic::Invite(to.account), sent_at: self.clock.now(), ciphertext: text.as_bytes().to_vec() }
    }
}

impl Book {
    pub(crate) const fn group(&self) -> Group {
        Group::Stamps { denomination: self.denomination, issue: self.issue }
    }
}

impl Person {
    pub(crate) fn new(seed: u8) -> Self {
        let wallet = PrivateKeySigner::from_slice(&[seed; 32]).unwrap();
        let account = Account::externally_owned(wallet.address());
        Self { wallet, identity: SigningKey::from_bytes(&[seed; 32]), account }
    }

    /// What this person's memberships are proved with.
    pub(crate) fn secret(&self) -> PassSecret {
        PassSecret::from_wide_bytes(&self.identity.to_bytes().repeat(2).try_into().unwrap()).unwrap()
    }

    /// What this person's claims are proved with.
    pub(crate) fn claim_secret(&self) -> PassSecret {
        let (key, half) = (self.identity.to_bytes(), [7; 32]);
        PassSecret::from_wide_bytes(&[half, key].concat().try_into().unwrap()).unwrap()
    }

    pub(crate) fn bundle(&self, network: NetworkId, revision: u32, version: u32) -> KeyBundle {
        let generation = Generation::at(Clock::system().now());
        self.bundle_of(network, (revision, version), generation, self.secret().commitment())
    }

    /// A bundle with this commitment for this quarter.
    pub(crate) fn bundle_of(
        &self,
        network: NetworkId,
        (revision, version): (u32, u32),
        generation: Generation,
        member_commitment: Commitment,
    ) -> KeyBundle {
        let keys = AttestedKeys {
            account: self.account,
            revision,
            identity_key: self.identity.verifying_key().to_bytes(),
            agreement_key: [3; 32],
            generation: generation.0,
            claim_commitment: self.claim_secret().commitment(),
            member_commitment,
        };
        let text = keys.attestation_text(network);
        let wallet_signature = self.wallet.sign_message_sync(text.as_bytes()).unwrap().as_bytes();
        let mut bundle = KeyBundle { keys, wallet_signature, version, prekey: [4; 32], signature: [0; 64] };
        bundle.signature = signature::sign(&self.identity, bundle.digest(network));
        bundle
    }

    pub(crate) fn policy(&self, network: NetworkId, version: u64, requirement: &str) -> SignedPolicy {
        let policy = Policy {
            account: self.account,
            version,
            requirement: requirement.parse::<Requirement>().unwrap(),
            blocked_tags: Vec::new(),
            revoked_attestations: Vec::new(),
        };
        self.sign_policy(network, policy)
    }

    pub(crate) fn sign_policy(&self, network: NetworkId, policy: Policy) -> SignedPolicy {
        SignedPolicy::new(network, policy, |digest| signature::sign(&self.identity, digest)).unwrap()
    }

    pub(crate) fn owner(&self, network: NetworkId, envelope: &Envelope) -> Pass {
        let digest = signature::digest(Label::Owner, network, &[envelope.id(network).as_bytes()]);
        Pass::Owner(Owner { signature: signature::sign(&self.identity, digest) })
    }

    /// A record on a topic, with this person's pass.
    pub(crate) fn own(&self, world: &World, topic: Topic, ciphertext: Vec<u8>) -> Submission {
        let envelope = Envelope { topic, sent_at: world.clock.now(), ciphertext };
        let owner = self.owner(world.network, &envelope);
        Submission::new(envelope, vec![owner]).unwrap()
    }
}

/// Fetches a bucket and computes its root again.
pub(crate) async fn fetch_bucket(
    client: &mut NodeClient<Channel>,
    request: wire::GetBucketRequest,
    root: Root,
) -> Bucket {
    let bucket = client.get_bucket(request).await.unwrap().into_inner();
    let elements = |bytes: &[u8]| -> Vec<FieldElement> {
        bytes.chunks(32).map(|it| FieldElement::from_be_bytes(it.try_into().unwrap()).unwrap()).collect()
    };
    let leaves = elements(&bucket.leaves).into_iter().map(Leaf::from).collect();
    let bucket = Bucket::new(bucket.volume, bucket.bucket.try_into().unwrap(), elements(&bucket.top), leaves).unwrap();
    assert_eq!(bucket.root(), root, "the node served another tree");
    bucket
}

pub(crate) fn outcome(result: wire::PublishResult) -> Result<SignedPostmark, Refusal> {
    match result.result.unwrap() {
        publish_result::Result::Postmark(postmark) => {
            let postmark = SignedPostmark::try_from(postmark).unwrap();
            postmark.verify().unwrap();
            Ok(postmark)
        }
        publish_result::Result::Refusal(refusal) => Err(refusal.try_into().unwrap()),
    }
}

/// Waits for a condition; fails when it does not come true.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

pub(crate) fn proving_key() -> &'static ProvingKey {
    static KEY: OnceLock<ProvingKey> = OnceLock::new();
    KEY.get_or_init(|| ProvingKey::dev_cached(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap())
}

fn stamp_group(book: &Book) -> wire::StampGroup {
    wire::StampGroup { denomination: book.denomination.units(), issue: book.issue.0 }
}

fn roots_request(book: &Book) -> wire::GetRootsRequest {
    wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Stamps(stamp_group(book))) }
}

/// Connects when the node has seen its chain.
async fn connect(node: &Node) -> NodeClient<Channel> {
    node.chain().wait_for(|view| view.as_of().is_some()).await.unwrap();
    NodeClient::connect(format!("http://{}", node.address())).await.unwrap().max_decoding_message_size(8 << 20)
}

fn configure(folder: &Path, anvil: &AnvilInstance, deployment: &Deployment, joining: &str) -> Config {
    let deployment_file = folder.join("deployment.json");
    fs::write(&deployment_file, serde_json::to_vec(deployment).unwrap()).unwrap();
    secret(&folder.join("operator.password"), "password\n");
    let name = "operator.json";
    keystore(folder, name, [5; 32]);
    let folder = folder.display();
    let file = format!(
        r#"
        listen = "127.0.0.1:0"
        data_dir = "{folder}/data"
        reflection = true
        [operator]
        key_file = "{folder}/{name}"
        password_file = "{folder}/operator.password"
        [chain]
        rpc_url = "{}"
        deployment = "{}"
        confirmations = 0
        poll_interval = "50ms"
        request_timeout = "2s"
        checkpoints = "every-block"
        [rules]
        joining = "{joining}"
        conversations_per_prefix = 1
        "#,
        anvil.endpoint(),
        deployment_file.display(),
    );
    let config_file = format!("{folder}/node.toml");
    fs::write(&config_file, file).unwrap();
    Config::load(Path::new(&config_file), &Overrides::default()).unwrap()
}

/// A key in a file, under the password in `operator.password`.
pub(crate) fn keystore(folder: &Path, name: &str, key: [u8; 32]) -> PathBuf {
    eth_keystore::encrypt_key(folder, &mut eth_keystore_rng(), key, "password", Some(name)).unwrap();
    restrict(&folder.join(name), 0o600);
    folder.join(name)
}

/// A file that nobody else can read.
pub(crate) fn secret(file: &Path, content: &str) {
    fs::write(file, content).unwrap();
    restrict(file, 0o600);
}

pub(crate) fn restrict(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

fn eth_keystore_rng() -> impl rand_08::Rng + rand_08::CryptoRng {
    rand_08::thread_rng()
}

/// What the node's default says.
pub(crate) const MEMBER_LIMIT: Limit = match Limit::new(256) {
    Ok(limit) => limit,
    Err(_) => panic!(),
};

pub(crate) const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

/// Ends the world's node, adds to its configuration, and starts it again.
pub(crate) async fn restart_with(world: &mut World, sections: &str) {
    world.node.take().unwrap().shutdown().await.unwrap();
    let file = world.folder.path().join("node.toml");
    let text = fs::read_to_string(&file).unwrap() + sections;
    fs::write(&file, text).unwrap();
    start_from_file(world).await;
}

/// Starts a node on its configuration file, where none runs.
pub(crate) async fn start_from_file(world: &mut World) {
    let file = world.folder.path().join("node.toml");
    let config = Config::load(&file, &Overrides::default()).unwrap();
    let tls = config.tls.is_some();
    let node = Node::bind(config, world.clock.clone()).await.unwrap();
    node.chain().wait_for(|view| view.as_of().is_some()).await.unwrap();
    world.client = match tls {
        true => world.client.clone(),
        false => NodeClient::connect(format!("http://{}", node.address())).await.unwrap(),
    };
    world.node = Some(node);
}

pub(crate) async fn get(world: &World, path: &str) -> (StatusCode, String) {
    let address = world.node.as_ref().unwrap().admin_address().unwrap();
    let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
    (response.status(), response.text().await.unwrap())
}

/// The value of a line of the metrics.
pub(crate) async fn metric(world: &World, line: &str) -> f64 {
    let (status, text) = get(world, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
}
