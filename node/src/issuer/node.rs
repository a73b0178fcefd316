//! What the issuer asks of a node: its contact log, and the claims' topics. The only file of the room that names wire types.
//! A node is believed nothing that can be checked: bundles prove themselves, postmarks are the operator's, and who left a bundle
//! out is found out by whoever reads another node's copy of the log.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use tonic::transport::{Channel, Endpoint};
use url::Url;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{ClaimId, EnvelopeId, NetworkId, OperatorId};
use xmtp_proto::field::Commitment;
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{Issuer, Pass};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::snapshot::{Contacts, Entry};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient, publish_result};

use crate::naming::Naming;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES: usize = 8 << 20;
/// The newest entries of a claim's topic that are looked at: a list of the greatest snapshot that one volume holds, from four
/// issuers.
const TOPIC_ENTRIES: usize = 300;

/// Why a node did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum NodeFailure {
    /// The configuration's to mend.
    #[error("{0} is no address of a node")]
    Address(Url),
    /// It could not be asked. Its operator's to mend, or the network's; trying again may help.
    #[error("the node cannot be asked: {0}")]
    Call(#[from] Box<tonic::Status>),
    /// It serves another network than the deployment. The configuration's to mend.
    #[error("the node serves network {0}")]
    OtherNetwork(NetworkId),
    /// What it said breaks the schema. Its mistake.
    #[error("the node's answer: {0}")]
    Malformed(#[from] Malformed),
    /// What it said cannot be. Its mistake.
    #[error("the node's answer is {0}")]
    Unfitting(&'static str),
    /// It refused what was published.
    #[error("the node refused: {0}")]
    Refused(#[from] Refusal),
}

/// How far a contact log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// What was accepted before a time.
    Before(Timestamp),
    /// What a snapshot was read from.
    Cursor(Cursor),
}

/// The registered accounts as a contact log has them, with the commitment that claims are issued to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) read: Option<Contacts>,
    pub(super) accounts: BTreeMap<Account, Commitment>,
}

/// An entry of a claim's topic, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) issuer: Address,
    pub(super) entry: Entry,
}

/// A connection to a node of the network.
pub(super) struct Node {
    client: NodeClient<Channel>,
    network: NetworkId,
    operator: Address,
}

impl Node {
    pub(super) async fn connect(url: &Url, network: NetworkId) -> Result<Self, NodeFailure> {
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(|_| NodeFailure::Address(url.clone()))?;
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT).connect_lazy();
        let mut client = NodeClient::new(channel).max_decoding_message_size(ANSWER_BYTES);
        let answer = client.get_network(wire::GetNetworkRequest {}).await.map_err(Box::new)?.into_inner();
        let got = <[u8; 32]>::try_from(answer.network_id).map_err(|_| NodeFailure::Unfitting("no network's"))?;
        if NetworkId::from(got) != network {
            return Err(NodeFailure::OtherNetwork(got.into()));
        }
        let operator = <[u8; 20]>::try_from(answer.operator).map_err(|_| NodeFailure::Unfitting("no operator's"))?;
        Ok(Self { client, network, operator: operator.into() })
    }

    pub(super) fn operator(&self) -> OperatorId {
        OperatorId::new(self.operator)
    }

    /// Reads the contact log from its beginning: of each account what it names in this generation, as members do.
    pub(super) async fn registered(&self, generation: u32, until: Until) -> Result<Registered, NodeFailure> {
        let mut client = self.client.clone();
        let mut named: BTreeMap<Account, Naming> = BTreeMap::new();
        let (mut seen, mut last) = (Cursor::default(), Cursor::default());
        'pages: loop {
            let request = wire::QueryContactsRequest { after: seen.0, limit: 0 };
            let answer = client.query_contacts(request).await.map_err(Box::new)?.into_inner();
            for record in answer.records {
                let record = Record::try_from(record)?;
                let postmark = self.check(&record)?;
                if postmark.postmark.cursor <= last {
                    return Err(NodeFailure::Unfitting("out of order"));
                }
                let reached = match until {
                    Until::Before(time) => postmark.postmark.accepted_at >= time,
                    Until::Cursor(cursor) => postmark.postmark.cursor > cursor,
                };
                if reached {
                    break 'pages;
                }
                last = postmark.postmark.cursor;
                let bundle = KeyBundle::from_bytes(&record.submission.envelope().ciphertext)?;
                let is_its_own = record.submission.envelope().topic == Topic::Contact(bundle.keys.account);
                if !is_its_own || bundle.verify(self.network).is_err() {
                    return Err(NodeFailure::Unfitting("a key bundle that does not prove itself"));
                }
                if bundle.keys.generation != generation {
                    continue;
                }
                let commitment = bundle.keys.claim_commitment;
                named
                    .entry(bundle.keys.account)
                    .and_modify(|before| *before = before.changed(commitment).unwrap_or(*before))
                    .or_insert_with(|| Naming::first(commitment));
            }
            if !answer.more {
                break;
            }
            if answer.seen <= seen.0 {
                return Err(NodeFailure::Unfitting("a page that leads nowhere"));
            }
            seen = Cursor(answer.seen);
        }
        let cursor = match until {
            Until::Before(_) => last,
            Until::Cursor(cursor) => cursor,
        };
        Ok(Registered {
            read: Some(Contacts { operator: self.operator(), cursor }),
            accounts: named.into_iter().map(|(account, naming)| (account, naming.commitment)).collect(),
        })
    }

    /// The newest entries of a claim's topic, newest first.
    pub(super) async fn published(&self, claim: ClaimId) -> Result<Vec<Published>, NodeFailure> {
        let topic = Topic::Claim(claim.0);
        let mut client = self.client.clone();
        let (mut all, mut before) = (Vec::new(), 0);
        while all.len() < TOPIC_ENTRIES {
            let request = wire::QueryRequest { topic: topic.to_string(), after: before, limit: 0, descending: true };
            let answer = client.query(request).await.map_err(Box::new)?.into_inner();
            for record in answer.records {
                let record = Record::try_from(record)?;
                let cursor = self.check(&record)?.postmark.cursor.0;
                if record.submission.envelope().topic != topic || (before != 0 && cursor >= before) {
                    return Err(NodeFailure::Unfitting("of another topic, or out of order"));
                }
                before = cursor;
                all.push(self.read(&record)?);
            }
            if !answer.more {
                break;
            }
        }
        Ok(all)
    }

    /// Publishes an entry with the issuer's pass.
    pub(super) async fn publish(&self, submission: Submission) -> Result<(), NodeFailure> {
        let publication = wire::Publication { submission: Some(submission.into()), expected_head: None };
        let request = wire::PublishRequest { publications: vec![publication] };
        let results = self.client.clone().publish(request).await.map_err(Box::new)?.into_inner().results;
        let [wire::PublishResult { result: Some(result) }] = results.as_slice() else {
            return Err(NodeFailure::Unfitting("another number of results than submissions"));
        };
        match result.clone() {
            publish_result::Result::Postmark(postmark) => {
                let postmark = SignedPostmark::try_from(postmark)?;
                postmark.verify().map_err(|_| NodeFailure::Unfitting("a postmark that nobody signed"))
            }
            publish_result::Result::Refusal(refusal) => Err(Refusal::try_from(refusal)?.into()),
        }
    }

    fn read(&self, record: &Record) -> Result<Published, NodeFailure> {
        let envelope = record.submission.envelope();
        let [Pass::Issuer(Issuer { issuer, signature })] = record.submission.passes() else {
            return Err(NodeFailure::Unfitting("an entry without its issuer"));
        };
        let id = envelope.id(self.network);
        if signature::recover(issuer_digest(self.network, id), signature) != Ok(*issuer) {
            return Err(NodeFailure::Unfitting("an entry that its issuer did not sign"));
        }
        Ok(Published { issuer: *issuer, entry: Entry::from_bytes(&envelope.ciphertext)? })
    }

    fn check<'a>(&self, record: &'a Record) -> Result<&'a SignedPostmark, NodeFailure> {
        let signed = &record.postmark;
        let fits = signed.verify().is_ok()
            && signed.postmark.operator == self.operator
            && signed.postmark.network == self.network
            && signed.postmark.envelope == record.submission.envelope().id(self.network);
        if fits { Ok(signed) } else { Err(NodeFailure::Unfitting("a record without its postmark")) }
    }
}

/// What an issuer signs of an envelope.
pub(super) fn issuer_digest(network: NetworkId, id: EnvelopeId) -> B256 {
    signature::digest(Label::Issuer, network, &[id.as_bytes()])
}
