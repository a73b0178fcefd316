//! Many publishers at once, each with a connection of its own, and the questions that are asked after a crash.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy::providers::{DynProvider, Provider as _};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::SignedPostmark;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::MAX_PER_CALL;
use xmtp_proto::topic::Topic;
use xmtp_proto::vault::VaultRecord;
use xmtp_proto::wire;
use xmtp_proto::wire::node_client::NodeClient;

use crate::dice::Dice;
use crate::friends::{Friend, Host, Reader};
use crate::ledger::Ledger;
use crate::letters::{Contest, Letter, Pool, own, person};
use crate::machine::Machine;
use crate::support::{self, Person};
use crate::talk::Talker;

/// Accounts that write to their own topics, all at once.
const WRITERS: u64 = 32;
/// Writes after which a writer goes on under another account: an account has 64 in a day.
const WRITES_PER_ACCOUNT: u32 = 60;
/// A crash comes after so long at the latest.
const ROUND_MAX: Duration = Duration::from_secs(5);
/// An answer takes this long at the most; a node that is silent for longer is a fault.
const PATIENCE: Duration = Duration::from_secs(20);

type Shared = Arc<Mutex<Ledger>>;

/// A node that serves, and its chain.
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) provider: DynProvider,
}

impl Node {
    async fn connect(&self) -> Option<NodeClient<Channel>> {
        let endpoint = Channel::from_shared(self.url.clone()).unwrap().timeout(PATIENCE);
        Some(NodeClient::new(endpoint.connect().await.ok()?).max_decoding_message_size(8 << 20))
    }
}

/// Who writes to their own topics. They outlive crashes, and go on where they were.
pub(crate) struct Publishers {
    network: NetworkId,
    writers: Vec<Writer>,
    talkers: Vec<Talker>,
    host: Host,
    friends: Vec<Friend>,
    readers: Vec<Reader>,
}

/// Who comes back from a round, to go on in the next.
enum Back {
    Writer(Box<Writer>),
    Talker(Box<Talker>),
    Friend(Box<Friend>),
    Reader(Box<Reader>),
    Nobody,
}

struct Writer {
    person: Person,
    next_person: u64,
    /// Under this account.
    writes: u32,
    last: Option<(EnvelopeId, wire::Submission)>,
    dice: Dice,
}

impl Publishers {
    pub(crate) fn new(network: NetworkId, pool: &Pool, dice: &mut Dice) -> Self {
        let writer = |number| Writer {
            person: person(number),
            next_person: number + WRITERS,
            writes: 0,
            last: None,
            dice: dice.fork(),
        };
        let writers = (1_000..1_000 + WRITERS).map(writer).collect();
        let talkers = pool.talk.opened.iter().map(|(key, _)| Talker::new(key.clone(), dice.fork()));
        let talkers = talkers.collect();
        let host = Host::new(network, dice);
        let friends = host.friends(dice);
        Self { network, writers, talkers, host, friends, readers: vec![pool.reader()] }
    }
}

impl Writer {
    /// The next write: a key bundle first, then whatever comes.
    fn write(&mut self, network: NetworkId) -> (EnvelopeId, wire::Submission) {
        if self.writes == WRITES_PER_ACCOUNT {
            self.person = person(self.next_person);
            self.next_person += WRITERS;
            self.writes = 0;
        }
        self.writes += 1;
        let (person, version) = (&self.person, self.writes);
        let account = person.account;
        let (topic, record) = match self.dice.between(0, 8) {
            _ if version == 1 => (Topic::Contact(account), person.bundle(network, 1, version).to_bytes()),
            0 => (Topic::Contact(account), person.bundle(network, 1, version).to_bytes()),
            1 => (Topic::Policy(account), person.policy(network, version.into(), "stamp(1)").to_bytes()),
            _ => {
                let length = if self.dice.one_in(32) { 60 << 10 } else { self.dice.between(16, 4096) };
                let sealed = self.dice.bytes(length);
                let record = VaultRecord { version: version.into(), salt: [1; 32], nonce: [2; 24], sealed };
                (Topic::Vault(account), record.to_bytes())
            }
        };
        own(person, network, topic, record)
    }
}

/// What one round of load came to.
pub(crate) struct Round {
    pub(crate) acknowledged: u64,
    pub(crate) unanswered: u64,
}

/// Publishes from all sides, and lets the machine crash in the middle of it: mostly while the letters are on their way, else
/// when so many are acknowledged.
pub(crate) async fn run(
    node: &Node,
    ledger: &Shared,
    publishers: &mut Publishers,
    contests: &[Contest],
    dice: &mut Dice,
    target: u64,
    machine: &mut Machine,
) -> Round {
    let before = ledger.lock().unwrap().acknowledged;
    let crashing = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for writer in std::mem::take(&mut publishers.writers) {
        let client = node.connect().await.expect("the node takes connections");
        tasks.spawn(write(writer, client, publishers.network, ledger.clone(), crashing.clone()));
    }
    for talker in std::mem::take(&mut publishers.talkers) {
        let client = node.connect().await.expect("the node takes connections");
        tasks.spawn(talk(talker, client, publishers.network, ledger.clone(), crashing.clone()));
    }
    for friend in std::mem::take(&mut publishers.friends) {
        let client = node.connect().await.expect("the node takes connections");
        tasks.spawn(befriend(friend, client, publishers.network, ledger.clone(), crashing.clone()));
    }
    for reader in std::mem::take(&mut publishers.readers) {
        let client = node.connect().await.expect("the node takes connections");
        let to_read = letters_of(contests, reader.topic());
        tasks.spawn(read(reader, to_read, client, publishers.network, ledger.clone(), crashing.clone()));
    }
    // All letters at about the same time, so that they meet in one commit.
    let burst = Duration::from_millis(dice.between(0, 400));
    for contest in contests.iter().filter(|it| !it.is_over()) {
        let clients = [node.connect().await, node.connect().await].map(|it| it.expect("the node takes connections"));
        tasks.spawn(send(burst, contest.letters.clone(), clients, ledger.clone(), crashing.clone()));
    }
    let provider = node.provider.clone();
    let over = crashing.clone();
    tasks.spawn(async move {
        // The follower of the chain writes into the store, too.
        while !over.load(Ordering::SeqCst) {
            provider.raw_request::<_, String>("evm_mine".into(), ()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Back::Nobody
    });

    let started = Instant::now();
    if dice.one_in(4) {
        while ledger.lock().unwrap().acknowledged < before + target && started.elapsed() < ROUND_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    } else {
        // While the letters are on their way: cancelling is what a crash could tear.
        tokio::time::sleep(burst).await;
    }
    tokio::time::sleep(Duration::from_micros(dice.between(0, 60_000))).await;
    crashing.store(true, Ordering::SeqCst);
    machine.crash(dice).await;
    while let Some(ended) = tasks.join_next().await {
        match ended.unwrap() {
            Back::Writer(writer) => publishers.writers.push(*writer),
            Back::Talker(talker) => publishers.talkers.push(*talker),
            Back::Friend(friend) => publishers.friends.push(*friend),
            Back::Reader(reader) => publishers.readers.push(*reader),
            Back::Nobody => {}
        }
    }
    let ledger = ledger.lock().unwrap();
    Round { acknowledged: ledger.acknowledged - before, unanswered: ledger.open.len().try_into().unwrap() }
}

/// Writes until the node is gone.
async fn write(
    mut writer: Writer,
    mut client: NodeClient<Channel>,
    network: NetworkId,
    ledger: Shared,
    crashing: Arc<AtomicBool>,
) -> Back {
    while !crashing.load(Ordering::SeqCst) {
        let new = writer.write(network);
        let mut call = vec![new.clone()];
        if writer.dice.one_in(8) {
            // Twice in one call, and once more what was acknowledged before: one place in the log each.
            call.push(new.clone());
            call.extend(writer.last.take());
        }
        if !publish(&mut client, &call, &ledger, &crashing, |_| false).await {
            break;
        }
        writer.last = Some(new);
    }
    Back::Writer(Box::new(writer))
}

/// Writes to an open conversation until the node is gone, or the day's quota is.
async fn talk(
    mut talker: Talker,
    mut client: NodeClient<Channel>,
    network: NetworkId,
    ledger: Shared,
    crashing: Arc<AtomicBool>,
) -> Back {
    while !crashing.load(Ordering::SeqCst) {
        let message = talker.message(network);
        if !publish(&mut client, &[message], &ledger, &crashing, is_quota).await {
            break;
        }
    }
    Back::Talker(Box::new(talker))
}

/// Writes to who let it in until the node is gone, or the day's quota is.
async fn befriend(
    mut friend: Friend,
    mut client: NodeClient<Channel>,
    network: NetworkId,
    ledger: Shared,
    crashing: Arc<AtomicBool>,
) -> Back {
    while !crashing.load(Ordering::SeqCst) {
        let letter = friend.letter(network);
        let id = letter.0;
        let answered = publish(&mut client, &[letter], &ledger, &crashing, is_quota).await;
        if !answered || !ledger.lock().unwrap().promised.contains_key(&id) {
            break;
        }
    }
    Back::Friend(Box::new(friend))
}

/// Says of letters that they were read, as they come, until the node is gone.
async fn read(
    mut reader: Reader,
    letters: Vec<EnvelopeId>,
    mut client: NodeClient<Channel>,
    network: NetworkId,
    ledger: Shared,
    crashing: Arc<AtomicBool>,
) -> Back {
    while !crashing.load(Ordering::SeqCst) {
        let here = {
            let ledger = ledger.lock().unwrap();
            letters.iter().filter(|id| ledger.promised.contains_key(*id)).copied().collect::<Vec<_>>()
        };
        let Some(receipts) = reader.read(network, here) else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        if !publish(&mut client, &[receipts], &ledger, &crashing, is_gone).await {
            break;
        }
    }
    Back::Reader(Box::new(reader))
}

fn letters_of(contests: &[Contest], topic: Topic) -> Vec<EnvelopeId> {
    let is_there = |letter: &&Letter| letter.submission.envelope.as_ref().unwrap().topic == topic.to_string();
    contests.iter().flat_map(|contest| &contest.letters).filter(is_there).map(|letter| letter.id).collect()
}

/// Sends the letters of a contest at the same time, over two connections.
async fn send(
    after: Duration,
    letters: Vec<Letter>,
    clients: [NodeClient<Channel>; 2],
    ledger: Shared,
    crashing: Arc<AtomicBool>,
) -> Back {
    tokio::time::sleep(after).await;
    let calls = letters.into_iter().enumerate().map(|(number, letter)| {
        let mut client = clients[number % 2].clone();
        let (ledger, crashing) = (&ledger, &crashing);
        async move { publish(&mut client, &[(letter.id, letter.submission)], ledger, crashing, is_used).await }
    });
    // Whoever is not answered is asked for again after the crash.
    let _ = futures_util::future::join_all(calls).await;
    Back::Nobody
}

/// Publishes until all have an answer; false if the node is gone first. `expected` are the refusals that are right answers.
async fn publish(
    client: &mut NodeClient<Channel>,
    call: &[(EnvelopeId, wire::Submission)],
    ledger: &Shared,
    crashing: &AtomicBool,
    expected: fn(&Refusal) -> bool,
) -> bool {
    let mut left = call.to_vec();
    while !left.is_empty() {
        {
            let mut ledger = ledger.lock().unwrap();
            left.iter().for_each(|(id, submission)| ledger.send(*id, submission));
        }
        let answers = match ask(client, &left).await {
            Ok(answers) => answers,
            Err(status) => {
                if !crashing.load(Ordering::SeqCst) {
                    ledger.lock().unwrap().unexpected(format!("the node answered {status} before it crashed"));
                }
                return false;
            }
        };
        left = enter(left, answers, &mut ledger.lock().unwrap(), expected);
        if !left.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    true
}

/// Returns what is to be tried again.
fn enter(
    call: Vec<(EnvelopeId, wire::Submission)>,
    answers: Vec<Result<SignedPostmark, Refusal>>,
    ledger: &mut Ledger,
    expected: fn(&Refusal) -> bool,
) -> Vec<(EnvelopeId, wire::Submission)> {
    let mut again = Vec::new();
    for ((id, submission), answer) in call.into_iter().zip(answers) {
        match answer {
            Ok(postmark) => ledger.acknowledge(id, postmark),
            Err(refusal) if is_busy(&refusal) => again.push((id, submission)),
            Err(refusal) => {
                ledger.refuse(id);
                if !expected(&refusal) {
                    ledger.unexpected(format!("{id:?} was refused: {refusal}"));
                }
            }
        }
    }
    again
}

async fn ask(
    client: &mut NodeClient<Channel>,
    call: &[(EnvelopeId, wire::Submission)],
) -> Result<Vec<Result<SignedPostmark, Refusal>>, tonic::Status> {
    let publication = |(_, submission): &(EnvelopeId, wire::Submission)| wire::Publication {
        submission: Some(submission.clone()),
        expected_head: None,
    };
    let request = wire::PublishRequest { publications: call.iter().map(publication).collect() };
    let results = client.publish(request).await?.into_inner().results;
    assert_eq!(results.len(), call.len(), "one answer for each");
    Ok(results.into_iter().map(support::outcome).collect())
}

/// Ours to try again.
fn is_busy(refusal: &Refusal) -> bool {
    matches!(refusal.code(), Code::Overloaded | Code::ChainViewStale)
}

/// A conversation has so many units in a day.
fn is_quota(refusal: &Refusal) -> bool {
    refusal.code() == Code::QuotaExhausted
}

/// The host revoked what let it in.
fn is_unwanted(refusal: &Refusal) -> bool {
    refusal.code() == Code::TagBlocked
}

/// What was read was dropped before that was said.
fn is_gone(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Malformed { reason } if *reason == Malformed::NoSuchLetter.to_string())
}

/// The members' root is not known yet: they are counted soon after they have joined.
fn is_early(refusal: &Refusal) -> bool {
    refusal.code() == Code::RootUnknown
}

/// What was open when the node went down may have come too late.
fn is_right_later(refusal: &Refusal) -> bool {
    is_gone(refusal) || is_quota(refusal)
}

/// The stamp was used for a rival; or, since two rivals give the secret away, is no good any more.
fn is_used(refusal: &Refusal) -> bool {
    matches!(refusal.code(), Code::NullifierUsed | Code::SecretClosed)
}

/// After a start: settles all that a crash left open, asks again for some of what was acknowledged, and sees to it that the
/// recipients are there.
pub(crate) async fn settle(node: &Node, ledger: &Shared, pool: &Pool, publishers: &mut Publishers, dice: &mut Dice) {
    let calm = AtomicBool::new(false);
    let mut client = node.connect().await.unwrap();
    let is_new = ledger.lock().unwrap().sent.is_empty();
    for call in if is_new { pool.join(publishers.network) } else { Vec::new() } {
        assert!(publish(&mut client, &[call], ledger, &calm, |_| false).await, "the node is gone");
    }
    if is_new && !pool.talk.is_over() {
        for (_, opening) in &pool.talk.opened {
            open(&mut client, ledger, opening, &calm).await;
        }
    }
    // Behind the openings: nobody joins before the members' root, under which those are proved, is there.
    for call in if is_new { publishers.host.join().to_vec() } else { Vec::new() } {
        assert!(publish(&mut client, &[call], ledger, &calm, |_| false).await, "the node is gone");
    }
    let unwanted = publishers.host.unwanted();
    let id = unwanted.0;
    assert!(publish(&mut client, &[unwanted], ledger, &calm, is_unwanted).await, "the node is gone");
    if ledger.lock().unwrap().promised.contains_key(&id) {
        ledger.lock().unwrap().unexpected(format!("{id:?} was let in, and its attestation is revoked"));
    }
    for contest in pool.contests.iter().filter(|it| !it.is_over()) {
        let touched = contest.letters.iter().any(|it| ledger.lock().unwrap().sent.contains_key(&it.id));
        if touched {
            settle_contest(&mut client, ledger, contest).await;
        }
    }
    // In the order in which an account wrote: a writer has one write open at the most.
    let unanswered: Vec<_> = ledger.lock().unwrap().open.clone().into_iter().collect();
    assert!(publish_all(&mut client, &unanswered, ledger, &calm, is_right_later).await, "the node is gone");
    let promised: Vec<_> = ledger.lock().unwrap().promised.keys().copied().collect();
    let one_in = (promised.len() as u64 / 100).max(1);
    ask_again(&mut client, ledger, promised.into_iter().filter(|_| dice.one_in(one_in)).collect()).await;
}

/// Opens a conversation, as soon as the node counts who has joined.
async fn open(client: &mut NodeClient<Channel>, ledger: &Shared, opening: &Letter, calm: &AtomicBool) {
    let call = [(opening.id, opening.submission.clone())];
    let started = Instant::now();
    while !ledger.lock().unwrap().promised.contains_key(&opening.id) {
        assert!(started.elapsed() < PATIENCE, "the members' root never comes");
        assert!(publish(client, &call, ledger, calm, is_early).await, "the node is gone");
    }
}

/// Offers every letter of a contest once more. What is stored keeps its postmark; what is not is refused if and only if a
/// rival has its stamp.
async fn settle_contest(client: &mut NodeClient<Channel>, ledger: &Shared, contest: &Contest) {
    let calm = AtomicBool::new(false);
    for letter in &contest.letters {
        let call = [(letter.id, letter.submission.clone())];
        assert!(publish(client, &call, ledger, &calm, is_used).await, "the node is gone");
    }
    let mut ledger = ledger.lock().unwrap();
    let stored: Vec<bool> = contest.letters.iter().map(|it| ledger.promised.contains_key(&it.id)).collect();
    for (letter, is_stored) in contest.letters.iter().zip(&stored) {
        let rival = contest.letters.iter().zip(&stored).any(|(other, stored)| *stored && letter.rivals(other));
        match (is_stored, rival) {
            (true, true) => ledger.tear(format!("{:?} is stored with a stamp of another's", letter.id)),
            (false, false) => ledger.tear(format!("a stamp of {:?} is cancelled for nothing", letter.id)),
            (true, false) | (false, true) => {}
        }
    }
}

async fn publish_all(
    client: &mut NodeClient<Channel>,
    all: &[(EnvelopeId, wire::Submission)],
    ledger: &Shared,
    calm: &AtomicBool,
    expected: fn(&Refusal) -> bool,
) -> bool {
    for call in chunks(all) {
        if !publish(client, call, ledger, calm, expected).await {
            return false;
        }
    }
    true
}

/// Calls within the limits of one.
fn chunks(all: &[(EnvelopeId, wire::Submission)]) -> impl Iterator<Item = &[(EnvelopeId, wire::Submission)]> {
    const BYTES_MAX: usize = 3 << 20;
    let size = |it: &(EnvelopeId, wire::Submission)| it.1.envelope.as_ref().unwrap().ciphertext.len();
    let mut left = all;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = left.iter().take(MAX_PER_CALL).take_while(|it| {
            bytes += size(it);
            bytes <= BYTES_MAX
        });
        let (call, rest) = left.split_at(fits.count());
        left = rest;
        (!call.is_empty()).then_some(call)
    })
}

/// The same bytes have the same postmark for ever.
async fn ask_again(client: &mut NodeClient<Channel>, ledger: &Shared, ids: Vec<EnvelopeId>) {
    let calm = AtomicBool::new(false);
    let sent: Vec<_> = {
        let ledger = ledger.lock().unwrap();
        ids.into_iter().map(|id| (id, ledger.sent[&id].clone())).collect()
    };
    assert!(publish_all(client, &sent, ledger, &calm, |_| false).await, "the node is gone");
}

/// At the end of a life: every postmark once more, and the letters as their recipients see them.
pub(crate) async fn ask_for_everything(node: &Node, ledger: &Shared, recipients: &[Account]) {
    let mut client = node.connect().await.unwrap();
    let promised: Vec<_> = ledger.lock().unwrap().promised.keys().copied().collect();
    ask_again(&mut client, ledger, promised).await;
    for account in recipients {
        let topic = Topic::Invite(*account).to_string();
        let mut found = Vec::new();
        let mut after = 0;
        loop {
            let request = wire::QueryRequest { topic: topic.clone(), after, ..Default::default() };
            let page = client.query(request).await.unwrap().into_inner();
            for record in page.records {
                let signed = SignedPostmark::try_from(record.postmark.unwrap()).unwrap();
                assert!(signed.postmark.cursor.0 > after, "a page goes on behind its cursor");
                after = signed.postmark.cursor.0;
                found.push(signed);
            }
            if !page.more {
                break;
            }
        }
        let mut ledger = ledger.lock().unwrap();
        let is_here = |submission: &wire::Submission| submission.envelope.as_ref().unwrap().topic == topic;
        let promised: Vec<_> = ledger.promised.keys().filter(|id| is_here(&ledger.sent[*id])).copied().collect();
        for id in promised {
            if !found.iter().any(|signed| signed.postmark.envelope == id) {
                ledger.lose(id, "its recipient cannot read it");
            }
        }
        for signed in found {
            ledger.acknowledge(signed.postmark.envelope, signed);
        }
    }
}
