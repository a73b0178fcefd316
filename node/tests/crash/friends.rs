//! Who was let in, and who reads: letters under a recipient's attestation, which take of a quota and need no proof; one friend
//! whose attestation the recipient's policy revoked; and receipts for the letters with stamps.

use std::collections::HashSet;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use xmtp_proto::account::Account;
use xmtp_proto::attestation::Attestation;
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::{Connection, Pass};
use xmtp_proto::policy::Policy;
use xmtp_proto::receipt::{self, Receipt};
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use crate::dice::Dice;
use crate::letters::{own, person};
use crate::support::Person;

/// Units of postage a day, by friend: the first one's are soon used up.
const QUOTAS: [u32; 4] = [40, 10_000, 10_000, 10_000];
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Receipts in one envelope at most.
const TOGETHER: usize = 4;

/// Lets in whom it attested, and nobody else.
pub(crate) struct Host {
    person: Person,
    network: NetworkId,
    /// What the policy revokes.
    revoked: Friend,
}

/// Writes to the host, under its attestation.
pub(crate) struct Friend {
    to: Account,
    holder: SigningKey,
    attested: Attestation,
    dice: Dice,
}

/// Says of letters with stamps that they were read.
pub(crate) struct Reader {
    person: Person,
    told: HashSet<EnvelopeId>,
}

impl Host {
    pub(crate) fn new(network: NetworkId, dice: &mut Dice) -> Self {
        let person = person(4);
        let revoked = Friend::of(&person, network, (99, 10_000), dice.fork());
        Self { person, network, revoked }
    }

    /// Those who are let in.
    pub(crate) fn friends(&self, dice: &mut Dice) -> Vec<Friend> {
        let numbered = (100..).zip(QUOTAS);
        numbered.map(|terms| Friend::of(&self.person, self.network, terms, dice.fork())).collect()
    }

    /// What makes the host reachable, in the order to publish it.
    pub(crate) fn join(&self) -> [(EnvelopeId, wire::Submission); 2] {
        let Self { person, network, revoked } = self;
        let policy = Policy {
            account: person.account,
            version: 1,
            requirement: "connection".parse().unwrap(),
            blocked_tags: Vec::new(),
            revoked_attestations: vec![revoked.attested.hash()],
        };
        let policy = person.sign_policy(*network, policy).to_bytes();
        let own = |topic, bytes| own(person, *network, topic, bytes);
        let bundle = person.bundle(*network, 1, 1).to_bytes();
        [own(Topic::Contact(person.account), bundle), own(Topic::Policy(person.account), policy)]
    }

    /// A letter of whom it let in once, and no more.
    pub(crate) fn unwanted(&mut self) -> (EnvelopeId, wire::Submission) {
        self.revoked.letter(self.network)
    }
}

impl Friend {
    fn of(host: &Person, network: NetworkId, (seed, quota): (u8, u32), dice: Dice) -> Self {
        let holder = SigningKey::from_bytes(&[seed; 32]);
        let terms = (holder.verifying_key().to_bytes(), quota, Clock::system().now().saturating_add(LIFE));
        let sign = |digest| signature::sign(&host.identity, digest);
        let attested = Attestation::new(network, host.account, terms, sign).unwrap();
        Self { to: host.account, holder, attested, dice }
    }

    /// The next letter: of one unit or two.
    pub(crate) fn letter(&mut self, network: NetworkId) -> (EnvelopeId, wire::Submission) {
        let length = self.dice.between(200, 24 << 10);
        let ciphertext = self.dice.bytes(length);
        let envelope = Envelope { topic: Topic::Invite(self.to), sent_at: Clock::system().now(), ciphertext };
        let id = envelope.id(network);
        let Attestation { holder, quota, expires_at, signature: attestation } = self.attested;
        let digest = signature::digest(Label::Connection, network, &[id.as_bytes()]);
        let signature = signature::sign(&self.holder, digest);
        let pass = Pass::Connection(Connection { holder, quota, expires_at, attestation, signature });
        (id, Submission::new(envelope, vec![pass]).unwrap().into())
    }
}

impl Reader {
    pub(crate) fn new(person: Person) -> Self {
        Self { person, told: HashSet::new() }
    }

    /// Where its letters come.
    pub(crate) fn topic(&self) -> Topic {
        Topic::Invite(self.person.account)
    }

    /// Receipts for some of these letters, each once; nothing if all are told of.
    pub(crate) fn read(
        &mut self,
        network: NetworkId,
        letters: impl IntoIterator<Item = EnvelopeId>,
    ) -> Option<(EnvelopeId, wire::Submission)> {
        let new: Vec<_> = letters.into_iter().filter(|id| !self.told.contains(id)).take(TOGETHER).collect();
        self.told.extend(&new);
        let sign = |digest| signature::sign(&self.person.identity, digest);
        let receipts: Vec<_> = new.into_iter().map(|letter| Receipt::new(network, letter, sign)).collect();
        let topic = Topic::Receipts(self.person.account);
        (!receipts.is_empty()).then(|| own(&self.person, network, topic, receipt::to_bytes(&receipts)))
    }
}
