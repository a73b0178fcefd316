//! What strangers send to no good end, a kind for each way to be refused, and a node in a process of its own to send it to.

#![allow(dead_code)] // Each program uses its part.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use ed25519_dalek::SigningKey;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tonic::transport::{Channel, Endpoint, Uri};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Issue, NetworkId, Purpose, conversation_topic};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{FieldElement, MODULUS};
use xmtp_proto::opening::{MAX_QUOTA, Opening};
use xmtp_proto::pass::{Pass, Stamp};
use xmtp_proto::refusal::Code;
use xmtp_proto::signature;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};

use crate::support::{Book, Person, Tag, World, until};

/// What a node is told to hold of submissions at the most.
pub(crate) const SUBMISSION_BYTES: u64 = 16 << 20;
/// What its memory may grow by then: that twice over (as it came, and as it was understood), what batches and groups of appends
/// hold, and what the allocator keeps.
pub(crate) const GROWTH_MAX: u64 = 96 << 20;

/// Older than any envelope may be.
const LONG_AGO: Timestamp = Timestamp::from_secs(1_000_000_000);

/// A way to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes that break a rule of the schema, the last thing in them.
    Malformed,
    /// To an account that has no inbox.
    NoInbox,
    /// Of another year.
    Backdated,
    /// Without a pass.
    Unpaid,
    /// Under a root that never was.
    UnknownRoot,
    /// A stamp of an issue that is over.
    Expired,
    /// An index that was used for another envelope, with a proof that holds.
    Replayed,
    /// A proof of something else.
    BadProof,
    /// An account that nobody knows, and that does not meet the joining requirement.
    FreshAccount,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Malformed,
        Self::NoInbox,
        Self::Backdated,
        Self::Unpaid,
        Self::UnknownRoot,
        Self::Expired,
        Self::Replayed,
        Self::BadProof,
        Self::FreshAccount,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoInbox => "no_inbox",
            Self::Backdated => "backdated",
            Self::Unpaid => "unpaid",
            Self::UnknownRoot => "unknown_root",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::BadProof => "bad_proof",
            Self::FreshAccount => "fresh_account",
        }
    }

    /// How it is refused, if the node looks at it at all.
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::Malformed => Code::Malformed,
            Self::NoInbox => Code::NoSuchInbox,
            Self::Backdated => Code::TimeOutOfRange,
            Self::Unpaid | Self::FreshAccount => Code::RequirementUnmet,
            Self::UnknownRoot => Code::RootUnknown,
            Self::Expired => Code::EpochWrong,
            Self::Replayed => Code::NullifierUsed,
            Self::BadProof => Code::ProofInvalid,
        }
    }
}

/// What submissions of every kind are made of.
pub(crate) struct Materials {
    network: NetworkId,
    /// A letter that is never published, and a stamp that would do for it.
    letter: Envelope,
    stamp: Stamp,
    replayed: Submission,
}

impl Materials {
    /// `to` has an inbox; the book has an index 0 to waste. Opens a conversation.
    pub(crate) async fn prepare(world: &mut World, to: &Person, book: &Book) -> Self {
        let letter = world.letter(to, "never published");
        let stamp = world.stamp(book, 0, &letter, Tag::ToTopic).await;
        // The same index of a membership for two conversations: there is nothing to slash, so it stays as it is.
        let mut openings = Vec::new();
        for seed in [201, 202] {
            let opening = opening(world, seed);
            let epoch = world.clock.now().epoch();
            let member = world.member(to, Purpose::Opening, epoch, 255, &opening).await;
            openings.push(Submission::new(opening, vec![Pass::Member(member)]).unwrap());
        }
        let replayed = openings.pop().unwrap();
        world.publish(openings.pop().unwrap()).await.unwrap();
        Self { network: world.network, letter, stamp, replayed }
    }

    /// One of a kind, told from others by its number where that matters.
    pub(crate) fn make(&self, kind: Kind, number: u64) -> wire::Submission {
        let mut letter = self.letter.clone();
        letter.ciphertext.extend(number.to_be_bytes());
        let mut stamp = self.stamp.clone();
        let stamped =
            |letter: Envelope, stamp: Stamp| Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap().into();
        match kind {
            Kind::Malformed => {
                let mut wire: wire::Submission = stamped(letter, stamp);
                let Some(wire::pass::Pass::Stamp(stamp)) = &mut wire.passes[0].pass else { panic!("a stamp") };
                stamp.nonce = MODULUS.to_vec();
                wire
            }
            Kind::NoInbox => {
                let mut address = [7; 20];
                address[..8].copy_from_slice(&number.to_be_bytes());
                letter.topic = Topic::Invite(Account::externally_owned(address.into()));
                stamped(letter, stamp)
            }
            Kind::Backdated => stamped(Envelope { sent_at: LONG_AGO, ..letter }, stamp),
            Kind::Unpaid => Submission::new(letter, Vec::new()).unwrap().into(),
            Kind::UnknownRoot => {
                stamp.proof.root = FieldElement::from(number).into();
                stamped(letter, stamp)
            }
            Kind::Expired => {
                stamp.issue = Issue(stamp.issue.0 - Issue::VALID_AFTER - 1);
                stamped(letter, stamp)
            }
            Kind::Replayed => self.replayed.clone().into(),
            // Made for the letter as it was without the number.
            Kind::BadProof => stamped(letter, stamp),
            Kind::FreshAccount => {
                let mut key = [9; 32];
                key[..8].copy_from_slice(&number.to_be_bytes());
                let wallet = PrivateKeySigner::from_slice(&key).unwrap();
                let account = Account::externally_owned(wallet.address());
                let person = Person { wallet, identity: SigningKey::from_bytes(&key), account };
                let ciphertext = person.bundle(self.network, 1, 1).to_bytes();
                let envelope = Envelope { topic: Topic::Contact(account), sent_at: self.letter.sent_at, ciphertext };
                let owner = person.owner(self.network, &envelope);
                Submission::new(envelope, vec![owner]).unwrap().into()
            }
        }
    }
}

fn opening(world: &World, seed: u8) -> Envelope {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = key.verifying_key().to_bytes();
    let sent_at = world.clock.now();
    let expires_at = sent_at.saturating_add(Duration::from_secs(86_400));
    let sign = |digest| signature::sign(&key, digest);
    let opening = Opening::new(world.network, public, MAX_QUOTA, expires_at, sign).unwrap();
    Envelope { topic: conversation_topic(&public), sent_at, ciphertext: opening.to_bytes().to_vec() }
}

pub(crate) fn call(submissions: Vec<wire::Submission>) -> wire::PublishRequest {
    let publication = |submission| wire::Publication { submission: Some(submission), expected_head: None };
    wire::PublishRequest { publications: submissions.into_iter().map(publication).collect() }
}

/// A node in a process of its own, on a world's folder: what it takes of the machine is its alone.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Ends the world's node, and runs another with these variables in its environment.
    pub(crate) async fn run(world: &mut World, environment: &[(&str, &str)]) -> Self {
        if let Some(node) = world.node.take() {
            node.shutdown().await.unwrap();
        }
        let folder = world.folder.path();
        let ready = folder.join("ready.json");
        let _ = fs::remove_file(&ready);
        let child = Command::new(env!("CARGO_BIN_EXE_xmtp-node"))
            .args(["run", "--config"])
            .arg(folder.join("node.toml"))
            .arg("--ready-file")
            .arg(&ready)
            .envs(environment.iter().copied())
            .env("XMTP_NODE_LOG__FILTER", "warn")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = || {
            let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&ready).ok()?).ok()?;
            json["listening"].as_str()?.parse().ok()
        };
        until("the process serves", async || address().is_some()).await;
        let process = Self { child, address: address().unwrap() };
        world.client = process.client_from(1).await;
        let client = world.client.clone();
        // Of a group without leaves: not found, once the chain is seen.
        until("the process has seen its chain", async || {
            let group = wire::StampGroup { denomination: 500, issue: 0 };
            let request = wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Stamps(group)) };
            client.clone().get_roots(request).await.is_err_and(|status| status.code() == tonic::Code::NotFound)
        })
        .await;
        process
    }

    /// A client with an address of its own, 127.0.0.x.
    pub(crate) async fn client_from(&self, last: u8) -> NodeClient<Channel> {
        let node = self.address;
        let connector = tower::service_fn(move |_: Uri| async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
            socket.connect(node).await.map(TokioIo::new)
        });
        NodeClient::new(Endpoint::from_static("http://node").connect_with_connector(connector).await.unwrap())
    }

    /// What its threads have used of the processors.
    pub(crate) fn threads(&self) -> Threads {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().map(|it| it.unwrap());
        // One that has just ended has no file any more.
        let used = tasks.filter_map(|task| {
            let schedule = fs::read_to_string(task.path().join("schedstat")).ok()?;
            // Its first number is the time on a processor.
            let nanoseconds = schedule.split_whitespace().next()?.parse().ok()?;
            Some((task.file_name(), Duration::from_nanos(nanoseconds)))
        });
        Threads(used.collect())
    }

    /// How much memory it had at most, looked at every few milliseconds while something happened.
    pub(crate) async fn highest_while<T>(&self, happening: impl Future<Output = T>) -> (u64, T) {
        let mut highest = self.resident_bytes();
        tokio::pin!(happening);
        loop {
            tokio::select! {
                done = &mut happening => return (highest.max(self.resident_bytes()), done),
                () = tokio::time::sleep(Duration::from_millis(5)) => highest = highest.max(self.resident_bytes()),
            }
        }
    }

    /// What it has of the machine's memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// What each thread of a process had used of the processors at a time.
pub(crate) struct Threads(BTreeMap<OsString, Duration>);

impl Threads {
    /// What was used since: by those that are still there, for only idle ones end.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let used = |(thread, now): (&OsString, &Duration)| {
            now.saturating_sub(before.0.get(thread).copied().unwrap_or_default())
        };
        self.0.iter().map(used).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
