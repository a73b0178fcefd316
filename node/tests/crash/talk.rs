//! Conversations: openings that memberships pay for, and the messages that follow them. The memberships are those of the same
//! people in every life, who join in the same order: so their group has the same root, and the proofs are good in all of them.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use xmtp_proto::derive::{self, EnvelopeId, Group, NetworkId, OperatorId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::opening::Opening;
use xmtp_proto::pass::{self, Member, Pass, Posting};
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch, Generation};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_prover::{Index, Path, Statement, Witness, prove};

use crate::dice::Dice;
use crate::letters::{Contest, Letter};
use crate::support::{MEMBER_LIMIT, Person, World, proving_key};

/// Contests of two openings for one index of a membership. Each membership is another's, for a second use of its index ends it.
pub(crate) const CONTESTS: u16 = 8;
/// Conversations that are opened at the beginning of a life, and written to from then on.
pub(crate) const TALKERS: u16 = 6;
const QUOTA: u32 = 10_000;
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Who opens, with what.
pub(crate) struct Talk {
    /// Contests of rivals.
    pub(crate) contests: Vec<Contest>,
    /// What the talkers open, each with the key that may then write.
    pub(crate) opened: Vec<(SigningKey, Letter)>,
    /// Memberships are of a day.
    epoch: Epoch,
}

impl Talk {
    /// Proves all openings: those of the talkers by one member, those of each contest by another. All have joined, the last of
    /// `rivals` as the last of all.
    pub(crate) async fn make(world: &mut World, member: &Person, rivals: &[Person]) -> Self {
        // Under one root, which has all of them.
        world.admitted(rivals.last().unwrap()).await;
        let mut paths = Vec::new();
        for person in std::iter::once(member).chain(rivals) {
            paths.push(world.path_of(person.secret().commitment()).await.unwrap());
        }
        let (own, others) = paths.split_first().unwrap();
        let operator = world.operator().await;
        let epoch = world.clock.now().epoch();
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let mut open = |(by, path): (&Person, &Path), key: &SigningKey, index: u16| {
            opening(world, operator, path, by, epoch, key, index, &mut rng)
        };
        let key = |number: u16| SigningKey::from_bytes(&[u8::try_from(number).unwrap(); 32]);
        let contests = (0..).zip(rivals.iter().zip(others)).map(|(number, by)| {
            let letters = [100, 101].map(|first| open(by, &key(first + 2 * number), number)).to_vec();
            Contest { letters, epoch: Some(epoch) }
        });
        let contests = contests.collect();
        let opened = (0..TALKERS).map(|number| {
            let key = key(1 + number);
            let letter = open((member, own), &key, number);
            (key, letter)
        });
        Self { contests, opened: opened.collect(), epoch }
    }

    /// Nothing can be opened any more: the day is over, or as good as.
    pub(crate) fn is_over(&self) -> bool {
        is_over(self.epoch)
    }
}

pub(crate) fn is_over(epoch: Epoch) -> bool {
    !epoch.counts_at(Clock::system().now().saturating_add(Duration::from_secs(60)))
}

#[allow(clippy::too_many_arguments)] // All of them are what a proof is about.
fn opening(
    world: &World,
    operator: OperatorId,
    path: &Path,
    member: &Person,
    epoch: Epoch,
    key: &SigningKey,
    index: u16,
    rng: &mut ChaCha20Rng,
) -> Letter {
    let now = world.clock.now();
    let sign = |digest| signature::sign(key, digest);
    let opening =
        Opening::new(world.network, key.verifying_key().to_bytes(), QUOTA, now.saturating_add(LIFE), sign).unwrap();
    let envelope = Envelope { topic: opening.topic(), sent_at: now, ciphertext: opening.to_bytes().to_vec() };
    let id = envelope.id(world.network);
    let generation = Generation::at(now).0;
    let secret = member.secret();
    let witness = Witness { secret: &secret, limit: MEMBER_LIMIT, index: Index::new(index), path };
    let group = Group::Members { operator, generation }.id(world.network, world.deployment.postage);
    let external = group.external_nullifier(Purpose::Opening, Some(epoch));
    let scope = derive::scope(world.network, &envelope.topic);
    let (statement, proof) = prove(proving_key(), &witness, external, id.signal(), scope, rng).unwrap();
    let Statement { root, share, nullifier, tag, external_nullifier: _, signal: _, scope: _ } = statement;
    let proof = pass::Proof { root, nullifier, share, tag, points: proof.to_bytes() };
    let pass = Pass::Member(Member { operator, generation, epoch, proof });
    Letter { id, submission: Submission::new(envelope, vec![pass]).unwrap().into(), nullifiers: vec![nullifier] }
}

/// Writes to a conversation that is open.
pub(crate) struct Talker {
    key: SigningKey,
    dice: Dice,
}

impl Talker {
    pub(crate) const fn new(key: SigningKey, dice: Dice) -> Self {
        Self { key, dice }
    }

    /// The next message: of one to three units.
    pub(crate) fn message(&mut self, network: NetworkId) -> (EnvelopeId, wire::Submission) {
        let key = self.key.verifying_key().to_bytes();
        let topic: Topic = derive::conversation_topic(&key);
        let length = self.dice.between(200, 12 << 10);
        let ciphertext = self.dice.bytes(length);
        let envelope = Envelope { topic, sent_at: Clock::system().now(), ciphertext };
        let id = envelope.id(network);
        let digest = signature::digest(Label::Posting, network, &[id.as_bytes()]);
        let posting = Pass::Posting(Posting { key, signature: signature::sign(&self.key, digest) });
        (id, Submission::new(envelope, vec![posting]).unwrap().into())
    }
}
