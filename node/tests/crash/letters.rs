//! Letters, and the stamps they fight for. A *contest* is a handful of letters that want the same stamps: however they are
//! sent, and whatever crashes in between, no stamp carries two of them and none is cancelled for nothing. Openings are letters
//! here, and the indices of a membership stamps.

use std::collections::HashMap;

use alloy::signers::local::PrivateKeySigner;
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use xmtp_contracts::IPostage;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Denomination, EnvelopeId, Group, Issue, NetworkId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{FieldElement, Leaf, Nullifier, Scope};
use xmtp_proto::pass::{self, Pass, Stamp};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Epoch;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_prover::{Bucket, Index, Limit, PassSecret, Path, Statement, Witness, prove};

use crate::friends::Reader;
use crate::support::{Person, World, proving_key, until};
use crate::talk::{CONTESTS, Talk, is_over};

/// Contests of two letters for one stamp.
const PAIRS: usize = 16;
/// Among them those whose letters are so long that the store keeps them in files of their own.
const LONG_PAIRS: usize = 2;
/// Contests of a letter with two stamps against one letter for each.
const TRIOS: usize = 4;
/// One stamp pays for a long letter.
const LONG: (u32, usize) = (500, 600 << 10);
const SHORT: (u32, usize) = (1, 1000);

/// All letters of a campaign, and who gets them.
pub(crate) struct Pool {
    pub(crate) contests: Vec<Contest>,
    /// What the talkers open.
    pub(crate) talk: Talk,
    /// Asks for nothing beyond the network's requirement.
    plain: Person,
    /// Asks for two units.
    dear: Person,
    /// Who opens conversations.
    member: Person,
    /// Who open two with one index, each once.
    rivals: Vec<Person>,
}

pub(crate) struct Contest {
    pub(crate) letters: Vec<Letter>,
    /// Beyond this day it cannot be held; for ever if there is none.
    pub(crate) epoch: Option<Epoch>,
}

impl Contest {
    pub(crate) fn is_over(&self) -> bool {
        self.epoch.is_some_and(is_over)
    }
}

#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) id: EnvelopeId,
    pub(crate) submission: wire::Submission,
    pub(crate) nullifiers: Vec<Nullifier>,
}

impl Letter {
    /// Whether both want one stamp.
    pub(crate) fn rivals(&self, other: &Self) -> bool {
        self.id != other.id && self.nullifiers.iter().any(|it| other.nullifiers.contains(it))
    }
}

/// A book of one stamp. Each stamp has a secret of its own, for a second use of it gives the secret away.
struct Book {
    denomination: Denomination,
    secret: PassSecret,
}

/// A letter to be: where its stamps come from, how long it is, to whom.
struct Plan {
    books: Vec<usize>,
    length: usize,
    to: Account,
}

/// The tree that proves a denomination's stamps, and where each is in it.
struct Tree {
    issue: Issue,
    bucket: Bucket,
    positions: HashMap<[u8; 32], u32>,
}

impl Pool {
    /// Buys the stamps and proves every letter's.
    pub(crate) async fn make(world: &mut World) -> Self {
        let (plain, dear, member) = (person(1), person(2), person(3));
        let rivals: Vec<_> = (10..10 + u64::from(CONTESTS)).map(person).collect();
        let mut books = Vec::new();
        let mut contests: Vec<Vec<Plan>> = Vec::new();
        for number in 0..PAIRS {
            // Spread over the campaign.
            let (units, length) = if number % (PAIRS / LONG_PAIRS) == 0 { LONG } else { SHORT };
            books.push(Book::new(units, books.len()));
            let plan = || Plan { books: vec![books.len() - 1], length, to: plain.account };
            contests.push(vec![plan(), plan()]);
            if number % (PAIRS / TRIOS) == 0 {
                books.push(Book::new(SHORT.0, books.len()));
                books.push(Book::new(SHORT.0, books.len()));
                let [first, second] = [books.len() - 2, books.len() - 1];
                let plan = |books, to| Plan { books, length: SHORT.1, to };
                let both = plan(vec![first, second], dear.account);
                contests.push(vec![both, plan(vec![first], plain.account), plan(vec![second], plain.account)]);
            }
        }
        let trees = buy(world, &books).await;
        let letters = tokio::task::block_in_place(|| frank(world, &books, &trees, contests));
        for person in [&plain, &dear, &member].into_iter().chain(&rivals) {
            let (_, bundle) = bundle(person, world.network);
            world.publish_wire(bundle, None).await.unwrap();
        }
        let mut talk = Talk::make(world, &member, &rivals).await;
        // Dealt out evenly, for a round takes a stretch of them.
        let mut openings = std::mem::take(&mut talk.contests).into_iter();
        let mut contests = Vec::new();
        for (number, contest) in letters.into_iter().enumerate() {
            contests.push(contest);
            contests.extend((number % 2 == 0).then(|| openings.next()).flatten());
        }
        Self { contests, talk, plain, dear, member, rivals }
    }

    pub(crate) fn describe(&self) -> String {
        let letters: usize = self.contests.iter().map(|contest| contest.letters.len()).sum();
        format!("{letters} letters in {} contests for one stamp or two", self.contests.len())
    }

    /// Who says that it has read its letters.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(person(1))
    }

    pub(crate) const fn recipients(&self) -> [Account; 2] {
        [self.plain.account, self.dear.account]
    }

    /// What makes the recipients reachable, in the order to publish it.
    pub(crate) fn join(&self, network: NetworkId) -> Vec<(EnvelopeId, wire::Submission)> {
        let policy = self.dear.policy(network, 1, "stamp(2)").to_bytes();
        let policy = own(&self.dear, network, Topic::Policy(self.dear.account), policy);
        let people = [&self.plain, &self.dear, &self.member].into_iter().chain(&self.rivals);
        people.map(|it| bundle(it, network)).chain([policy]).collect()
    }
}

fn bundle(person: &Person, network: NetworkId) -> (EnvelopeId, wire::Submission) {
    own(person, network, Topic::Contact(person.account), person.bundle(network, 1, 1).to_bytes())
}

/// Somebody, told from others by a number.
pub(crate) fn person(number: u64) -> Person {
    let mut seed = [0xc5; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    let wallet = PrivateKeySigner::from_slice(&seed).unwrap();
    let account = Account::externally_owned(wallet.address());
    Person { wallet, identity: SigningKey::from_bytes(&seed), account }
}

/// A write to a topic of one's own.
pub(crate) fn own(
    person: &Person,
    network: NetworkId,
    topic: Topic,
    ciphertext: Vec<u8>,
) -> (EnvelopeId, wire::Submission) {
    let envelope = Envelope { topic, sent_at: xmtp_proto::time::Clock::system().now(), ciphertext };
    let owner = person.owner(network, &envelope);
    (envelope.id(network), Submission::new(envelope, vec![owner]).unwrap().into())
}

impl Book {
    fn new(denomination: u32, number: usize) -> Self {
        let mut seed = [0xb0; 64];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let secret = PassSecret::from_wide_bytes(&seed).unwrap();
        Self { denomination: denomination.try_into().unwrap(), secret }
    }
}

/// Buys all books, and waits until the node knows them.
async fn buy(world: &mut World, books: &[Book]) -> HashMap<u32, Tree> {
    let postage = IPostage::new(world.deployment.postage, &world.provider);
    for Book { denomination, secret } in books {
        let commitment = secret.commitment().field().to_u256();
        let _sent = postage.buy(denomination.units(), 1, commitment).send().await.unwrap();
    }
    let all = async || postage.Bought_filter().from_block(0).query().await.unwrap();
    until("all books are bought", async || all().await.len() == books.len()).await;
    let bought = all().await;
    let mut trees = HashMap::new();
    for units in [SHORT.0, LONG.0] {
        let here: Vec<_> = bought.iter().map(|(bought, _)| bought).filter(|it| it.denomination == units).collect();
        let group = wire::StampGroup { denomination: units, issue: here[0].issue };
        let client = world.client.clone();
        let newest = async || {
            let group = Some(wire::get_roots_request::Group::Stamps(group));
            let roots = client.clone().get_roots(wire::GetRootsRequest { group }).await.ok()?.into_inner().roots;
            roots.into_iter().max_by_key(|root| root.leaves).filter(|root| root.leaves as usize == here.len())
        };
        until("the node knows the books", async || newest().await.is_some()).await;
        let root = newest().await.unwrap().root;
        let group = Some(wire::get_bucket_request::Group::Stamps(group));
        let request = wire::GetBucketRequest { group, root, bucket: 0 };
        let bucket = world.client.get_bucket(request).await.unwrap().into_inner();
        let elements = |bytes: &[u8]| -> Vec<FieldElement> {
            bytes.chunks(32).map(|it| FieldElement::from_be_bytes(it.try_into().unwrap()).unwrap()).collect()
        };
        let leaves = elements(&bucket.leaves).into_iter().map(Leaf::from).collect();
        let bucket = Bucket::new(bucket.volume, 0, elements(&bucket.top), leaves).unwrap();
        let positions = here.iter().map(|it| (it.commitment.to_be_bytes(), it.position)).collect();
        trees.insert(units, Tree { issue: Issue(here[0].issue), bucket, positions });
    }
    trees
}

/// Writes the letters and proves their stamps, on every core.
fn frank(world: &World, books: &[Book], trees: &HashMap<u32, Tree>, contests: Vec<Vec<Plan>>) -> Vec<Contest> {
    let cores = std::thread::available_parallelism().unwrap().get();
    let share = contests.len().div_ceil(cores);
    let write = |contests: &[Vec<Plan>], seed: usize| -> Vec<Contest> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed.try_into().unwrap());
        let letter = |plan: &Plan| {
            let text = rand_chacha::rand_core::Rng::next_u64(&mut rng).to_be_bytes();
            letter(world, books, trees, plan, &text, &mut rng)
        };
        let mut letter = letter;
        contests.iter().map(|plans| Contest { letters: plans.iter().map(&mut letter).collect(), epoch: None }).collect()
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            contests.chunks(share).enumerate().map(|(seed, part)| scope.spawn(move || write(part, seed))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn letter(
    world: &World,
    books: &[Book],
    trees: &HashMap<u32, Tree>,
    plan: &Plan,
    text: &[u8],
    rng: &mut ChaCha20Rng,
) -> Letter {
    let Plan { books: used, length, to } = plan;
    let ciphertext = text.iter().copied().cycle().take(*length).collect();
    let envelope = Envelope { topic: Topic::Invite(*to), sent_at: world.clock.now(), ciphertext };
    let id = envelope.id(world.network);
    let stamps: Vec<Stamp> = used.iter().map(|book| stamp(world, &books[*book], trees, &id, rng)).collect();
    let nullifiers = stamps.iter().map(|stamp| stamp.proof.nullifier).collect();
    let passes = stamps.into_iter().map(Pass::Stamp).collect();

    Letter { id, submission: Submission::new(envelope, passes).unwrap().into(), nullifiers }
}

fn stamp(world: &World, book: &Book, trees: &HashMap<u32, Tree>, id: &EnvelopeId, rng: &mut ChaCha20Rng) -> Stamp {
    let Book { denomination, secret } = book;
    let Tree { issue, bucket, positions } = &trees[&denomination.units()];
    let path: Path = bucket.path(positions[secret.commitment().field().as_bytes()]).unwrap();
    let witness = Witness { secret, limit: Limit::new(1).unwrap(), index: Index::new(0), path: &path };
    let group = Group::Stamps { denomination: *denomination, issue: *issue };
    let external = group.id(world.network, world.deployment.postage).external_nullifier(Purpose::Envelope, None);
    let nonce = Scope::from(FieldElement::from(7));
    let (statement, proof) = prove(proving_key(), &witness, external, id.signal(), nonce, rng).unwrap();
    let Statement { root, share, nullifier, tag, external_nullifier: _, signal: _, scope: _ } = statement;
    let proof = pass::Proof { root, nullifier, share, tag, points: proof.to_bytes() };
    Stamp { denomination: *denomination, issue: *issue, proof, nonce: Some(nonce) }
}
