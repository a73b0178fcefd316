//! Conversations end to end: after one letter with a stamp, two people go on talking for free, on as many clients as they like.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use futures_util::{Stream, StreamExt as _};
use support::World;
use tempfile::TempDir;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::opening;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, GENERATION_SECONDS, Generation, Timestamp};
use xmtp_prover::Limit;
use xmtp_sdk::client::{Builder, Client, PublishError, Step};
use xmtp_sdk::conversation::Conversation;
use xmtp_sdk::inbox::{Inbox, Which};
use xmtp_sdk::invite::{Author, ConversationKeys};
use xmtp_sdk::state::Letter;
use xmtp_sdk::stream::{Arrival, StreamError, What};

const ALICE: usize = 1;
const BOB: usize = 2;

fn builder(world: &World, person: usize, home: &Path) -> Builder {
    world.builder(person, home).clock(world.clock.clone())
}

async fn client(world: &World, person: usize, home: &Path) -> Client {
    builder(world, person, home).connect().await.unwrap()
}

/// Alice, with stamps for some letters, and Bob.
async fn people(world: &World) -> (Client, Client, [TempDir; 2]) {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice = client(world, ALICE, homes[0].path()).await;
    let bob = client(world, BOB, homes[1].path()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy("stamp(1)".parse().unwrap()).await.unwrap();
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap()).await.unwrap();
    (alice, bob, homes)
}

async fn with<'a>(client: &'a Client, peer: &Client) -> Conversation<'a> {
    client.conversation(peer.account()).await.unwrap().unwrap()
}

fn lines(read: &Inbox, me: &Client) -> Vec<(&'static str, String)> {
    let reasons: Vec<_> = read.unverified.iter().map(|it| it.reason.to_string()).collect();
    assert!(reasons.is_empty(), "{reasons:?}");
    let line = |message: &xmtp_sdk::inbox::Message| {
        let text = message.content.as_ref().unwrap().as_text().unwrap().to_owned();
        assert_eq!(message.units_paid, 0);
        (if message.from == me.account() { "mine" } else { "theirs" }, text)
    };
    read.messages.iter().map(line).collect()
}

async fn texts(conversation: &Conversation<'_>, me: &Client) -> Vec<String> {
    lines(&conversation.messages(Which::All).await.unwrap(), me).into_iter().map(|(_, text)| text).collect()
}

async fn stamps_left(client: &Client) -> u32 {
    client.books().await.unwrap().iter().map(|it| it.left).sum()
}

#[tokio::test]
async fn letter_is_paid_for_and_all_that_follows_is_free() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world).await;
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    let left = stamps_left(&alice).await;

    let of_bob = with(&bob, &alice).await;
    assert!(!of_bob.is_accepted(), "he has not answered yet");
    let answer = of_bob.send("Dear Alice").await.unwrap();
    assert!(answer.opened, "the first to write opens it");
    assert_eq!(answer.to, alice.account());

    let of_alice = with(&alice, &bob).await;
    assert!(of_alice.is_accepted());
    assert_eq!(of_alice.topic(), of_bob.topic());
    let read = of_alice.messages(Which::New).await.unwrap();
    assert_eq!(lines(&read, &alice), [("theirs", "Dear Alice".to_owned())]);
    assert!(of_alice.messages(Which::New).await.unwrap().messages.is_empty(), "nothing is new twice");

    let mut said = vec!["Dear Alice".to_owned()];
    for number in 0..10 {
        let text = format!("message {number}");
        let by = if number % 2 == 0 { &of_alice } else { &of_bob };
        assert!(!by.send(&text).await.unwrap().opened, "it is open");
        said.push(text);
    }
    assert_eq!(texts(&of_alice, &alice).await, said);
    assert_eq!(texts(&of_bob, &bob).await, said);
    assert_eq!(stamps_left(&alice).await, left, "no stamp was spent");
    assert!(with(&bob, &alice).await.is_accepted());
    // What was said is no letter: the inbox holds the one that was paid for.
    assert_eq!(bob.inbox(Which::All).await.unwrap().messages.len(), 1);
}

#[tokio::test]
async fn sender_may_go_on_writing_before_there_is_an_answer() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world).await;
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    assert!(with(&alice, &bob).await.send("P.S.").await.unwrap().opened);
    let of_bob = with(&bob, &alice).await;
    assert!(!of_bob.send("I see").await.unwrap().opened, "she opened it");
    assert_eq!(texts(&of_bob, &bob).await, ["P.S.", "I see"]);
}

#[tokio::test]
async fn clients_restored_from_the_wallet_find_the_conversations_and_work_side_by_side() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world).await;
    let to = bob.account().to_string();
    alice.send(&to, "first letter").await.unwrap();
    with(&bob, &alice).await.send("answer").await.unwrap();
    with(&alice, &bob).await.send("thanks").await.unwrap();

    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice_again = client(&world, ALICE, homes[0].path()).await;
    let bob_again = client(&world, BOB, homes[1].path()).await;
    for it in [&alice_again, &bob_again] {
        it.restore_identity().await.unwrap();
    }
    for (second, peer) in [(&alice_again, &bob), (&bob_again, &alice)] {
        let conversation = with(second, peer).await;
        assert!(conversation.is_accepted());
        let letter = conversation.letter().invitation.message().and_then(|it| it.as_text());
        assert_eq!(letter, Some("first letter"), "even the own one, which nobody could open again");
        assert_eq!(texts(&conversation, second).await, ["answer", "thanks"]);
    }

    // All four at once, at full speed.
    let conversations = [
        with(&alice, &bob).await,
        with(&alice_again, &bob).await,
        with(&bob, &alice).await,
        with(&bob_again, &alice).await,
    ];
    let talk = |which: usize| {
        let conversation = &conversations[which];
        async move {
            for number in 0..10 {
                conversation.send(&format!("{which}.{number}")).await.unwrap();
            }
        }
    };
    tokio::join!(talk(0), talk(1), talk(2), talk(3));
    let read = texts(&conversations[0], &alice).await;
    assert_eq!(read.len(), 2 + 40);
    for which in 0..4 {
        let prefix = format!("{which}.");
        let of_it: Vec<_> = read.iter().filter(|text| text.starts_with(&prefix)).cloned().collect();
        assert_eq!(of_it, (0..10).map(|number| format!("{which}.{number}")).collect::<Vec<_>>());
    }
    for (conversation, me) in conversations.iter().zip([&alice, &alice_again, &bob, &bob_again]) {
        assert_eq!(texts(conversation, me).await, read);
    }
}

#[tokio::test]
async fn two_installations_open_conversations_at_once_with_indices_of_their_own() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world).await;
    let to = bob.account().to_string();
    for number in 0..4 {
        alice.send(&to, &format!("letter {number}")).await.unwrap();
    }
    let home = tempfile::tempdir().unwrap();
    let bob_again = client(&world, BOB, home.path()).await;
    bob_again.restore_identity().await.unwrap();

    let (first, second) = (bob.conversations().await.unwrap(), bob_again.conversations().await.unwrap());
    assert_eq!((first.len(), second.len()), (4, 4));
    // Each opens two of them, and both open at once: a shared index would be refused, and would give the secret away.
    let (a, b, c, d) = tokio::join!(first[0].send("0"), second[1].send("1"), first[2].send("2"), second[3].send("3"));
    for sent in [a, b, c, d] {
        assert!(sent.unwrap().opened);
    }
    for (number, conversation) in alice.conversations().await.unwrap().iter().enumerate() {
        assert_eq!(texts(conversation, &alice).await, [number.to_string()]);
    }
}

#[tokio::test]
async fn message_that_met_a_dead_node_arrives_once() {
    let mut world = World::start().await;
    let (alice, bob, homes) = people(&world).await;
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    with(&bob, &alice).await.send("one").await.unwrap();
    let of_bob = with(&bob, &alice).await;
    world.node.take().unwrap().shutdown().await.unwrap();
    of_bob.send("two").await.unwrap_err();
    drop(of_bob);
    drop((alice, bob));

    world.rebind().await;
    let alice = client(&world, ALICE, homes[0].path()).await;
    let bob = client(&world, BOB, homes[1].path()).await;
    let of_bob = with(&bob, &alice).await;
    of_bob.send("two").await.unwrap();
    of_bob.send("three").await.unwrap();
    assert_eq!(texts(&with(&alice, &bob).await, &alice).await, ["one", "two", "three"]);
}

/// When the node accepted openings, the oldest first.
fn openings(world: &World) -> Vec<Timestamp> {
    let stretch = world.node.as_ref().unwrap().store().read(Cursor(0), 1_000, |_| true).unwrap();
    let records = stretch.records.into_iter().map(|(_, record)| Record::try_from(record).unwrap());
    let openings = records.filter(|it| it.submission.envelope().ciphertext.len() == opening::BYTES);
    openings.map(|it| it.postmark.postmark.accepted_at).collect()
}

#[tokio::test]
async fn each_opening_waits_for_a_random_moment_of_its_own() {
    const LONGEST: Duration = Duration::from_millis(400);
    let world = World::start().await;
    let (alice, bob, homes) = people(&world).await;
    for number in 0..4 {
        alice.send(&bob.account().to_string(), &format!("letter {number}")).await.unwrap();
    }
    drop(bob);
    let before = openings(&world).len();

    let steps = Arc::new(Mutex::new(Vec::new()));
    let (seen, clock) = (Arc::clone(&steps), world.clock.clone());
    let on_step = move |step| seen.lock().unwrap().push((step, clock.now()));
    let bob = builder(&world, BOB, homes[1].path()).delay(LONGEST).on_step(on_step).connect().await.unwrap();
    for conversation in bob.conversations().await.unwrap() {
        assert!(conversation.send("answer").await.unwrap().opened);
    }
    let steps = steps.lock().unwrap().clone();
    let waits: Vec<_> = steps.windows(2).filter(|pair| pair[0].0 == Step::Lingering).collect();
    let openings = openings(&world).split_off(before);
    assert_eq!((waits.len(), openings.len()), (5, 5), "four conversations and the journal");
    for (number, accepted_at) in openings.iter().enumerate() {
        let [(_, from), (next, to)] = waits[number] else { panic!("two") };
        assert_eq!(*next, Step::WritingDown);
        assert!(from <= to && to <= accepted_at, "the wait comes first");
        assert!(waits.get(number + 1).is_none_or(|pair| *accepted_at <= pair[0].1), "and there is one for each");
    }
    let lengths: Vec<_> = waits.iter().map(|pair| pair[1].1.since(pair[0].1)).collect();
    let (least, most) = (*lengths.iter().min().unwrap(), *lengths.iter().max().unwrap());
    // By chance once in a million runs.
    assert!(most > LONGEST / 20, "nobody waited: {lengths:?}");
    assert!(most - least > LONGEST / 40, "not at random: {lengths:?}");
}

#[tokio::test]
async fn copy_for_other_installations_waits_for_its_time_and_survives_the_process() {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let (alice, bob, homes) = people(&world).await;
    drop(alice);
    // It ends without a farewell, which would cost it a whole run.
    let slow = builder(&world, ALICE, homes[0].path()).delay(Duration::from_secs(3600)).run_length(1);
    let alice = slow.clone().connect().await.unwrap();
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    let due = alice.settle().await.unwrap().expect("it is put off");
    let wait = due.since(world.clock.now());
    assert!(wait <= Duration::from_secs(3600));
    drop(alice);

    let home = tempfile::tempdir().unwrap();
    let alice_again = client(&world, ALICE, home.path()).await;
    alice_again.restore_identity().await.unwrap();
    assert!(alice_again.conversations().await.unwrap().is_empty(), "not yet");

    // Another process of the first installation, later.
    world.set_clock(due).await;
    let alice = slow.connect().await.unwrap();
    assert_eq!(alice.settle().await.unwrap(), None, "nothing more is put off");
    assert_eq!(alice_again.conversations().await.unwrap().len(), 1);

    // Or at once, when somebody asks for it.
    alice.send(&bob.account().to_string(), "Dear Bob, again").await.unwrap();
    assert_eq!(alice.sync().await.unwrap(), 1);
    assert_eq!(alice_again.conversations().await.unwrap().len(), 2);
}

#[tokio::test]
async fn number_of_bits_follows_the_traffic_and_nothing_is_missed_or_comes_twice() {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let (alice, bob, homes) = people(&world).await;
    for number in 0..4 {
        alice.send(&bob.account().to_string(), &format!("letter {number}")).await.unwrap();
    }
    for (number, conversation) in bob.conversations().await.unwrap().iter().enumerate() {
        conversation.send(&format!("{number}.first")).await.unwrap();
    }
    let read = async |client: &Client, word: &str| {
        for (number, conversation) in client.conversations().await.unwrap().iter().enumerate() {
            let read = conversation.messages(Which::New).await.unwrap();
            let texts: Vec<_> = lines(&read, client).into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts, [format!("{number}.{word}")]);
        }
    };
    read(&alice, "first").await;
    read(&bob, "first").await;
    drop((alice, bob));

    // Six topics were written in on the first day, both journals among them; on the third day none.
    let mut today = world.clock.now();
    for (days, bits, word) in [(1, 1, "second"), (2, 0, "third")] {
        today = today.saturating_add(Duration::from_secs(days * 86_400));
        world.set_clock(today).await;
        world.restart_in_place().await;
        let alice = client(&world, ALICE, homes[0].path()).await;
        let bob = client(&world, BOB, homes[1].path()).await;
        assert_eq!(alice.node().await.unwrap().network().conversation_bits, bits, "{word}");
        for (number, conversation) in alice.conversations().await.unwrap().iter().enumerate() {
            conversation.send(&format!("{number}.{word}")).await.unwrap();
        }
        read(&bob, word).await;
        read(&alice, word).await;
    }
    let home = tempfile::tempdir().unwrap();
    let again = client(&world, BOB, home.path()).await;
    again.restore_identity().await.unwrap();
    for (number, conversation) in again.conversations().await.unwrap().iter().enumerate() {
        let said = ["first", "second", "third"].map(|word| format!("{number}.{word}"));
        assert_eq!(texts(conversation, &again).await, said);
    }
}

/// The last second of a quarter, a while from now.
fn edge() -> Timestamp {
    Timestamp::from_secs(u64::from(Generation::at(Clock::system().now()).0 + 1) * GENERATION_SECONDS)
}

async fn generation_of(client: &Client) -> (u32, u32) {
    let keys = client.identity_status().await.unwrap().published.unwrap().bundle.bundle().keys;
    (keys.revision, keys.generation)
}

#[tokio::test]
async fn quarter_turns_and_the_keys_are_attested_anew_by_whoever_comes_first() {
    let day = Duration::from_secs(86_400);
    let before = edge().saturating_sub(day);
    let old = Generation::at(before).0;
    let mut world = World::start_with("all()", Clock::manual(before)).await;
    let (alice, bob, _homes) = people(&world).await;
    let home = tempfile::tempdir().unwrap();
    let bob_again = client(&world, BOB, home.path()).await;
    bob_again.restore_identity().await.unwrap();
    let to = bob.account().to_string();
    alice.send(&to, "first letter").await.unwrap();
    with(&bob, &alice).await.send("in the old quarter").await.unwrap();
    assert_eq!(generation_of(&bob).await, (1, old));

    world.set_clock(edge().saturating_add(day)).await;
    alice.send(&to, "second letter").await.unwrap();
    assert_eq!(generation_of(&alice).await, (2, old + 1));
    // The newest of the two conversations, which was not open: membership of the new quarter opens it.
    let of_bob = with(&bob, &alice).await;
    assert!(of_bob.send("in the new quarter").await.unwrap().opened);
    assert_eq!(generation_of(&bob).await, (2, old + 1));
    assert_eq!(texts(&with(&alice, &bob).await, &alice).await, ["in the new quarter"]);

    // The other one goes on, and nothing in it reads as written with replaced keys.
    let of_alice = alice.conversations().await.unwrap();
    of_alice[0].send("still here").await.unwrap();
    assert_eq!(texts(&of_alice[0], &alice).await, ["in the old quarter", "still here"]);

    // The other installation follows, finds the same journal, and opens what it writes in next.
    assert_eq!(bob_again.inbox(Which::All).await.unwrap().messages.len(), 2);
    assert_eq!(generation_of(&bob_again).await, (2, old + 1), "attested once");
    assert_eq!(bob_again.state().identity().unwrap().unwrap().generation(), old + 1);
    assert_eq!(bob_again.conversations().await.unwrap().iter().filter(|it| it.is_accepted()).count(), 2);
    world.set_clock(world.clock.now().saturating_add(day)).await;
    alice.send(&to, "third letter").await.unwrap();
    assert!(with(&bob_again, &alice).await.send("by the other one").await.unwrap().opened);
}

#[tokio::test]
async fn clocks_that_differ_by_a_minute_at_the_edge_of_a_quarter_open_conversations_all_the_same() {
    let minute = Duration::from_secs(60);
    let old = Generation::at(edge().saturating_sub(minute)).0;
    let mut world = World::start_with("all()", Clock::manual(edge().saturating_sub(minute))).await;
    let (alice, bob, homes) = people(&world).await;
    let to = bob.account().to_string();
    alice.send(&to, "first letter").await.unwrap();
    alice.send(&to, "second letter").await.unwrap();
    drop(bob);

    // Bob is ahead: his quarter has turned, the node's has not.
    let ahead = builder(&world, BOB, homes[1].path()).clock(Clock::manual(edge().saturating_add(minute / 2)));
    let bob = ahead.connect().await.unwrap();
    assert!(bob.conversations().await.unwrap()[0].send("from the future").await.unwrap().opened);
    assert_eq!(generation_of(&bob).await, (2, old + 1));

    // Alice is behind: the node's quarter has turned, hers has not.
    world.set_clock(edge().saturating_add(minute)).await;
    drop(alice);
    let behind = builder(&world, ALICE, homes[0].path()).clock(Clock::manual(edge().saturating_sub(minute / 2)));
    let alice = behind.connect().await.unwrap();
    assert!(alice.conversations().await.unwrap()[1].send("from the past").await.unwrap().opened);
    assert_eq!(generation_of(&alice).await, (1, old));
}

#[tokio::test]
async fn replaced_keys_take_over_in_a_new_home_and_the_old_ones_are_told() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world).await;
    let home = tempfile::tempdir().unwrap();
    let fresh = client(&world, BOB, home.path()).await;
    assert!(matches!(bob.replace_identity().await, Err(PublishError::Exists(_))), "here are keys");
    let replaced = fresh.replace_identity().await.unwrap().published;
    assert_eq!(replaced.bundle.bundle().keys.revision, 2);
    assert!(matches!(fresh.replace_identity().await, Err(PublishError::Exists(_))), "once is enough");

    alice.send(&fresh.account().to_string(), "to the new keys").await.unwrap();
    assert_eq!(fresh.inbox(Which::All).await.unwrap().messages.len(), 1);
    let read = bob.inbox(Which::All).await.unwrap();
    assert_eq!((read.messages.len(), read.unverified.len()), (0, 1), "the old keys do not open it");
    let refused = bob.set_policy("stamp(2)".parse().unwrap()).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Replaced(_)), "{refused}");
    let third = tempfile::tempdir().unwrap();
    let restored = client(&world, BOB, third.path()).await;
    assert_eq!(restored.restore_identity().await.unwrap().bundle, replaced.bundle, "the vault has the new ones");
}

// === what the other party can seal ===

fn keys(letter: &Letter) -> ConversationKeys {
    ConversationKeys::new(letter.invitation.key_material(), letter.inviter.bundle, letter.invitee.bundle)
}

/// What a message's seal is bound to: network 32, length of topic u32, topic, sent-at u64 (docs/protocol.md, "Sending").
fn associated(world: &World, keys: &ConversationKeys, sent_at: Timestamp) -> Vec<u8> {
    let topic = keys.topic().to_string();
    let length = u32::try_from(topic.len()).unwrap().to_be_bytes();
    [world.network.as_bytes().as_slice(), &length, topic.as_bytes(), &sent_at.as_nanos().to_be_bytes()].concat()
}

fn cipher(keys: &ConversationKeys, author: Author) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(keys.message_key(author).as_bytes().into())
}

/// What is inside: version u8, nonce 24, then the sealed.
fn unsealed(world: &World, keys: &ConversationKeys, author: Author, envelope: &Envelope) -> Vec<u8> {
    let (nonce, sealed) = envelope.ciphertext[1..].split_first_chunk::<24>().unwrap();
    let aad = associated(world, keys, envelope.sent_at);
    cipher(keys, author).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad }).unwrap()
}

/// Publishes what somebody signed, sealed anew.
async fn publish_sealed(
    world: &mut World,
    letter: &Letter,
    author: Author,
    sent_at: Timestamp,
    nonce: [u8; 24],
    signed: &[u8],
) {
    let keys = keys(letter);
    let aad = associated(world, &keys, sent_at);
    let sealed = cipher(&keys, author).encrypt(&XNonce::from(nonce), Payload { msg: signed, aad: &aad }).unwrap();
    let ciphertext = [&[1], nonce.as_slice(), &sealed].concat();
    let envelope = Envelope { topic: keys.topic(), sent_at, ciphertext };
    let pass = Pass::Posting(keys.sign_posting(world.network, envelope.id(world.network)));
    world.publish(Submission::new(envelope, vec![pass]).unwrap()).await.unwrap();
}

/// Texts of what is genuine, and why the rest is not; each sorted.
type Shown = (Vec<String>, Vec<String>);

fn shown(inboxes: impl IntoIterator<Item = Inbox>) -> Shown {
    let (mut texts, mut reasons) = Shown::default();
    for Inbox { messages, unverified, blocked: _ } in inboxes {
        texts.extend(messages.iter().map(|it| it.content.as_ref().unwrap().as_text().unwrap().to_owned()));
        reasons.extend(unverified.iter().map(|it| it.reason.to_string()));
    }
    texts.sort_unstable();
    reasons.sort_unstable();
    (texts, reasons)
}

async fn read(client: &Client, which: Which) -> Shown {
    let mut inboxes = Vec::new();
    for conversation in client.conversations().await.unwrap() {
        inboxes.push(conversation.messages(which).await.unwrap());
    }
    shown(inboxes)
}

/// The next so many of a stream, letters aside.
async fn streamed(arrivals: &mut (impl Stream<Item = Result<Arrival, StreamError>> + Unpin), count: usize) -> Shown {
    let mut inbox = Inbox::default();
    while inbox.messages.len() + inbox.unverified.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(60), arrivals.next()).await;
        match next.expect("something comes").unwrap().unwrap() {
            Arrival::Message { message, .. } => inbox.messages.push(message),
            Arrival::Unverified(it) => inbox.unverified.push(it),
            Arrival::Letter(_) => {}
            Arrival::Interrupted { reason, .. } => panic!("{reason}"),
        }
    }
    shown([inbox])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_the_other_party_seals_again_is_shown_once_and_nowhere_else() {
    let mut world = World::start().await;
    let (alice, bob, homes) = people(&world).await;
    for number in 0..2 {
        alice.send(&bob.account().to_string(), &format!("letter {number}")).await.unwrap();
    }
    for conversation in bob.conversations().await.unwrap() {
        conversation.send("hello").await.unwrap();
    }
    let of_alice = alice.conversations().await.unwrap();
    let topic = of_alice[0].topic();
    of_alice[0].send("I owe you one").await.unwrap();
    let stretch = world.node.as_ref().unwrap().store().read(Cursor(0), 1_000, |_| true).unwrap();
    let mut records = stretch.records.into_iter().map(|(_, record)| Record::try_from(record).unwrap());
    let hers = records.rfind(|it| it.submission.envelope().topic == topic).unwrap();
    let hers = hers.submission.envelope().clone();
    drop(of_alice);
    let before = (["I owe you one", "hello", "hello"].map(str::to_owned).to_vec(), Vec::new());
    // One client and one stream have read it by then, and what comes is new to them.
    assert_eq!(read(&alice, Which::New).await, before);
    let second = tempfile::tempdir().unwrap();
    let alice_again = client(&world, ALICE, second.path()).await;
    alice_again.restore_identity().await.unwrap();
    let mut live = pin!(alice_again.stream(What::All, Which::New));
    assert_eq!(streamed(&mut live, 3).await, before);

    let of_bob = bob.conversations().await.unwrap();
    let [first, second] = [&of_bob[0], &of_bob[1]].map(Conversation::letter);
    let signed = unsealed(&world, &keys(first), Author::Inviter, &hers);
    let later = hers.sent_at.saturating_add(Duration::from_nanos(1));
    for (nonce, letter, author, sent_at) in [
        (1, first, Author::Inviter, hers.sent_at),
        (2, first, Author::Inviter, hers.sent_at),
        (3, first, Author::Inviter, later),
        (4, first, Author::Invitee, hers.sent_at),
        (5, second, Author::Inviter, hers.sent_at),
    ] {
        publish_sealed(&mut world, letter, author, sent_at, [nonce; 24], &signed).await;
    }
    drop(of_bob);
    let by = |account| format!("not signed by {account} for this conversation and this time");
    let again = format!("a message of {} that came before, sealed again", alice.account());
    let mut reasons = vec![again.clone(), again, by(alice.account()), by(alice.account()), by(bob.account())];
    reasons.sort_unstable();
    let (nothing, everything) = ((Vec::new(), reasons.clone()), (before.0, reasons));

    assert_eq!(streamed(&mut live, 5).await, nothing, "in a stream that had brought it");
    assert_eq!(read(&alice, Which::New).await, nothing, "to a client that had read it");
    drop(alice);
    let alice = client(&world, ALICE, homes[0].path()).await;
    for (sentence, client) in [("after a restart", &alice), ("by another installation", &alice_again), ("by him", &bob)]
    {
        assert_eq!(read(client, Which::All).await, everything, "{sentence}");
        let mut all = pin!(client.stream(What::All, Which::All));
        assert_eq!(streamed(&mut all, 8).await, everything, "{sentence}, in a stream");
    }
}
