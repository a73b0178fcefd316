//! Several clients of one account, copies of one, and clients that die: whatever they do, no index of a stamp or a membership
//! goes with two envelopes, and what is written arrives once.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alloy::primitives::{B256, U256};
use alloy::providers::ext::AnvilApi as _;
use alloy::signers::local::PrivateKeySigner;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use support::World;
use support::clients::copy_of;
use tempfile::TempDir;
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::field::Nullifier;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::time::Clock;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Builder, Client, JoinError, Keeper, PublishError, SendError, Step};
use xmtp_sdk::conversation::Conversation;
use xmtp_sdk::inbox::{Inbox, Which};
use xmtp_sdk::stream::{Arrival, What};

const ALICE: usize = 1;
const BOB: usize = 2;

// === a process that dies ===

/// What a process of its own is to do, and after which step it kills itself.
#[derive(Serialize, Deserialize)]
struct Order {
    key: B256,
    deployment: Deployment,
    node: Url,
    rpc: Url,
    home: PathBuf,
    deed: Deed,
    /// Where it writes down the steps it comes to.
    steps: PathBuf,
    die_at: Option<usize>,
}

#[derive(Clone, Serialize, Deserialize)]
enum Deed {
    /// Writes to an account.
    Letter { to: String, text: String },
    /// Writes to it out of a run of some stamps, and hands back what is left of that.
    LetterAndFarewell { to: String, text: String },
    /// Goes on in the conversation with it.
    Message { to: String, text: String },
    /// Joins the network.
    Join,
    /// Looks after what was left undone.
    Resume,
}

/// Of who hands back.
const RUN_LENGTH: u16 = 4;

const ORDER: &str = "XMTP_TEST_ORDER";

/// Not a test: the others run it in a process of its own.
#[tokio::test]
#[ignore = "the others run it"]
async fn process_of_its_own() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let Order { key, deployment, node, rpc, home, deed, steps, die_at } = serde_json::from_str(&order).unwrap();
    let count = AtomicUsize::new(0);
    let on_step = move |step: Step| {
        if !Step::OF_SENDING.contains(&step) && !Step::OF_CLOSING.contains(&step) {
            return;
        }
        writeln!(OpenOptions::new().append(true).create(true).open(&steps).unwrap(), "{step:?}").unwrap();
        if die_at == Some(count.fetch_add(1, Ordering::SeqCst)) {
            kill_process(getpid(), Signal::KILL).unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    let wallet = PrivateKeySigner::from_bytes(&key).unwrap();
    // As the command line does: one letter, and what it takes.
    let run_length = if matches!(deed, Deed::LetterAndFarewell { .. }) { RUN_LENGTH } else { 1 };
    let builder = Client::builder(wallet, deployment, home).node(node).rpc(rpc);
    let client = builder.run_length(run_length).delay(Duration::ZERO);
    let client = client.cache(env!("CARGO_TARGET_TMPDIR").into()).on_step(on_step).connect().await.unwrap();
    match deed {
        Deed::Letter { to, text } => drop(client.send(&to, &text).await.unwrap()),
        Deed::LetterAndFarewell { to, text } => {
            client.send(&to, &text).await.unwrap();
            client.close().await.unwrap();
        }
        Deed::Message { to, text } => {
            client.conversation(to.parse().unwrap()).await.unwrap().unwrap().send(&text).await.unwrap();
        }
        Deed::Join => drop(client.create_identity().await.unwrap()),
        Deed::Resume => drop(client.resume_outbox().await.unwrap()),
    }
}

/// Runs a process, and returns how it ended and the steps it came to.
async fn run(world: &World, key: B256, home: &Path, deed: Deed, die_at: Option<usize>) -> (ExitStatus, Vec<String>) {
    let scratch = tempfile::tempdir().unwrap();
    let steps = scratch.path().join("steps");
    let order = Order {
        key,
        deployment: world.deployment.clone(),
        node: world.node_url(),
        rpc: world.anvil().endpoint_url(),
        home: home.to_owned(),
        deed,
        steps: steps.clone(),
        die_at,
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "process_of_its_own", "--ignored", "--nocapture"]);
    command.env(ORDER, serde_json::to_string(&order).unwrap()).stdin(Stdio::null()).stdout(Stdio::null());
    let status = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    let steps = fs::read_to_string(steps).unwrap_or_default();
    (status, steps.lines().map(str::to_owned).collect())
}

/// Does a deed to its end.
async fn done(world: &World, key: B256, home: &Path, deed: Deed) -> Vec<String> {
    let (status, steps) = run(world, key, home, deed, None).await;
    assert!(status.success(), "{status}");
    steps
}

/// Does a deed in a process that dies at a step, then to its end in another: once more, unless it was on record as done.
async fn killed_and_resumed(world: &World, key: B256, home: &Path, deed: Deed, die_at: usize, expected: &[String]) {
    let (status, steps) = run(world, key, home, deed.clone(), Some(die_at)).await;
    assert_eq!(status.signal(), Some(9), "it never came to step {die_at} of {expected:?}, only to {steps:?}");
    assert_eq!(steps, expected[..=die_at]);
    let recorded = expected.iter().rposition(|step| step == "Recorded").unwrap();
    done(world, key, home, if die_at < recorded { deed } else { Deed::Resume }).await;
}

// === people ===

fn key(world: &World, person: usize) -> B256 {
    B256::from_slice(&world.anvil().keys()[person].to_bytes())
}

fn builder(world: &World, key: B256, home: &Path) -> Builder {
    world.builder_for(PrivateKeySigner::from_bytes(&key).unwrap(), home)
}

async fn client(world: &World, person: usize, home: &Path) -> Client {
    builder(world, key(world, person), home).connect().await.unwrap()
}

/// Alice, with so many stamps in one book, and Bob, who asks for one.
async fn people(world: &World, stamps: u32) -> (Client, Client, [TempDir; 2]) {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice = client(world, ALICE, homes[0].path()).await;
    let bob = client(world, BOB, homes[1].path()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy("stamp(1)".parse().unwrap()).await.unwrap();
    grant(world, &alice).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(stamps).unwrap()).await.unwrap();
    (alice, bob, homes)
}

async fn grant(world: &World, to: &Client) {
    world.fund(to.account().address()).await;
}

/// A second installation of an account.
async fn restored(world: &World, person: usize) -> (Client, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let client = client(world, person, home.path()).await;
    client.restore_identity().await.unwrap();
    (client, home)
}

async fn with<'a>(client: &'a Client, peer: &Client) -> Conversation<'a> {
    client.conversation(peer.account()).await.unwrap().unwrap()
}

fn texts(read: &Inbox) -> Vec<String> {
    let reasons: Vec<_> = read.unverified.iter().map(|it| it.reason.to_string()).collect();
    assert!(reasons.is_empty(), "{reasons:?}");
    read.messages.iter().map(|it| it.content.as_ref().unwrap().as_text().unwrap().to_owned()).collect()
}

async fn letters(client: &Client) -> Vec<String> {
    let mut letters = texts(&client.inbox(Which::All).await.unwrap());
    letters.sort_unstable();
    letters
}

fn sorted<T: ToString>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().map(|it| it.to_string()).collect();
    texts.sort_unstable();
    texts
}

/// Reads the node's whole log: how many stamps and memberships were shown in it, each with one envelope. And the node must not
/// have seen another use of any.
fn each_index_went_with_one_envelope(world: &World) -> (usize, usize) {
    let store = world.node.as_ref().unwrap().store();
    assert_eq!(store.evidence().count(), 0, "an index was shown with two envelopes");
    let mut shown: HashMap<Nullifier, EnvelopeId> = HashMap::new();
    let (mut stamps, mut members, mut seen) = (0, 0, Cursor::default());
    loop {
        let stretch = store.read(seen, 1_000, |_| true).unwrap();
        if stretch.seen == seen {
            return (stamps, members);
        }
        seen = stretch.seen;
        for (_, record) in stretch.records {
            let record = Record::try_from(record).unwrap();
            let id = record.submission.envelope().id(world.network);
            for pass in record.submission.passes() {
                let nullifier = match pass {
                    Pass::Stamp(stamp) => stamp.proof.nullifier,
                    Pass::Member(member) => member.proof.nullifier,
                    _ => continue,
                };
                if matches!(pass, Pass::Stamp(_)) {
                    stamps += 1
                } else {
                    members += 1
                }
                assert!(shown.insert(nullifier, id).is_none_or(|before| before == id));
            }
        }
    }
}

// === tests ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_that_is_killed_at_any_step_arrives_once_when_it_is_resumed() {
    let world = World::start().await;
    let (alice, bob, homes) = people(&world, 100).await;
    let (to, home) = (&bob.account().to_string(), homes[0].path());
    let key = key(&world, ALICE);
    drop(alice);
    let mut expected = vec!["first".to_owned(), "second".to_owned()];
    let letter = |text: &str| Deed::Letter { to: to.clone(), text: text.to_owned() };
    // The first one may find the journal closed: what it comes to, the second one need not.
    done(&world, key, home, letter("first")).await;
    let steps = done(&world, key, home, letter("second")).await;
    for die_at in 0..steps.len() {
        let text = format!("killed at {die_at}, {}", steps[die_at]);
        killed_and_resumed(&world, key, home, letter(&text), die_at, &steps).await;
        expected.push(text);
    }
    let mut killed: HashSet<String> = steps.into_iter().collect();
    assert_eq!(letters(&bob).await, sorted(&expected));
    let sent = expected.len();

    // A message in a conversation that is open.
    let mut expected = vec!["first".to_owned(), "second".to_owned()];
    let message = |text: &str| Deed::Message { to: to.clone(), text: text.to_owned() };
    done(&world, key, home, message("first")).await;
    let steps = done(&world, key, home, message("second")).await;
    for die_at in 0..steps.len() {
        let text = format!("killed at {die_at}, {}", steps[die_at]);
        killed_and_resumed(&world, key, home, message(&text), die_at, &steps).await;
        expected.push(text);
    }
    let alice = client(&world, ALICE, home).await;
    assert_eq!(texts(&with(&bob, &alice).await.messages(Which::All).await.unwrap()), expected);
    killed.extend(steps);

    let missing: Vec<_> = Step::OF_SENDING.iter().filter(|step| !killed.contains(&format!("{step:?}"))).collect();
    assert!(missing.is_empty(), "no send was killed at {missing:?}");
    let (stamps, _) = each_index_went_with_one_envelope(&world);
    assert_eq!(stamps, sent);
    // What a session reserved and could not write down any more is lost: one stamp each time.
    let left: u32 = alice.books().await.unwrap().iter().map(|it| it.left).sum();
    assert!(left >= 100 - u32::try_from(sent).unwrap() - 2, "{left} stamps are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn farewell_that_is_killed_at_any_step_loses_a_run_at_most() {
    let world = World::start().await;
    let (alice, bob, homes) = people(&world, 100).await;
    let (to, home) = (&bob.account().to_string(), homes[0].path());
    let key = key(&world, ALICE);
    drop(alice);
    let letter = |text: &str| Deed::LetterAndFarewell { to: to.clone(), text: text.to_owned() };
    let left = async || client(&world, ALICE, home).await.books().await.unwrap()[0].left;
    done(&world, key, home, letter("first")).await;
    let steps = done(&world, key, home, letter("second")).await;
    let farewell = steps.len() - Step::OF_CLOSING.len();
    assert_eq!(steps[farewell..], Step::OF_CLOSING.map(|step| format!("{step:?}")));

    let mut expected = vec!["first".to_owned(), "second".to_owned()];
    for (die_at, cost) in [(farewell, u32::from(RUN_LENGTH)), (farewell + 1, 1)] {
        let (before, text) = (left().await, format!("killed at {die_at}, {}", steps[die_at]));
        let (status, reached) = run(&world, key, home, letter(&text), Some(die_at)).await;
        assert_eq!(status.signal(), Some(9), "it came to {reached:?} only");
        assert_eq!(reached, steps[..=die_at]);
        assert_eq!(before - left().await, cost, "{text}");
        expected.push(text);
    }
    done(&world, key, home, letter("last")).await;
    expected.push("last".to_owned());
    assert_eq!(letters(&bob).await, sorted(&expected));
    assert_eq!(each_index_went_with_one_envelope(&world).0, expected.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_that_is_killed_at_any_step_is_made_once_when_it_is_resumed() {
    let world = World::start().await;
    let (alice, _bob, _homes) = people(&world, 100).await;
    // Somebody new each time, whose journal must be opened too.
    let answer = async |number: u8, die_at: Option<(usize, &[String])>| {
        let (key, home) = (B256::repeat_byte(number), tempfile::tempdir().unwrap());
        let person = builder(&world, key, home.path()).connect().await.unwrap();
        person.create_identity().await.unwrap();
        let to = person.account();
        drop(person);
        alice.send(&to.to_string(), "question").await.unwrap();
        let deed = Deed::Message { to: alice.account().to_string(), text: "answer".to_owned() };
        let steps = match die_at {
            None => done(&world, key, home.path(), deed).await,
            Some((die_at, steps)) => {
                killed_and_resumed(&world, key, home.path(), deed, die_at, steps).await;
                Vec::new()
            }
        };
        let read = alice.conversation(to).await.unwrap().unwrap().messages(Which::All).await.unwrap();
        assert_eq!(texts(&read), ["answer"], "killed at {:?}", die_at.map(|(die_at, steps)| &steps[die_at]));
        steps
    };
    let steps = answer(1, None).await;
    for die_at in 0..steps.len() {
        answer(u8::try_from(die_at).unwrap() + 2, Some((die_at, &steps))).await;
    }
    let (stamps, members) = each_index_went_with_one_envelope(&world);
    assert_eq!(stamps, steps.len() + 1);
    // The opening and the journal's, each time; and Alice's journal.
    assert_eq!(members, 2 * (steps.len() + 1) + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owner_successor_and_copy_send_out_of_one_book_at_full_speed() {
    let world = World::start().await;
    let (alice, bob, homes) = people(&world, 60).await;
    let to = bob.account().to_string();
    alice.send(&to, "first").await.unwrap();

    // Restored from the wallet: it knows the book, and uses it when it is told to.
    let (successor, _home) = restored(&world, ALICE).await;
    let [book] = successor.books().await.unwrap().try_into().unwrap();
    assert_eq!((book.keeper, book.left), (Keeper::Elsewhere, 60 - 16));
    assert!(matches!(successor.send(&to, "too soon").await, Err(SendError::NoPass(_))));
    assert_eq!(successor.take_over(book.book.id).await.unwrap().keeper, Keeper::TakenOver);
    let copied = copy_of(homes[0].path());
    let copy = client(&world, ALICE, copied.path()).await;

    let clients = [&alice, &successor, &copy];
    let send = |which: usize| {
        let (client, to) = (clients[which], to.clone());
        async move {
            for number in 0..5 {
                client.send(&to, &format!("{which}.{number}")).await.unwrap();
            }
        }
    };
    tokio::join!(send(0), send(1), send(2));
    let sent = (0..3).flat_map(|which| (0..5).map(move |number| format!("{which}.{number}")));
    assert_eq!(letters(&bob).await, sorted(sent.chain(["first".to_owned()])));
    assert_eq!(each_index_went_with_one_envelope(&world).0, 16);

    // All that was reserved and not used goes back, from either end, once who came later has gone.
    let account = copy.account();
    for client in [alice, copy, successor] {
        client.close().await.unwrap();
    }
    let (again, _home) = restored(&world, ALICE).await;
    assert_eq!(again.account(), account);
    let left = again.books().await.unwrap()[0].left;
    assert!((30..=44).contains(&left), "{left} are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_that_is_killed_at_any_step_takes_one_stamp_when_it_is_resumed() {
    let world = World::start_with("stamp(1)", Clock::system()).await;
    // Somebody new each time, with a book, and nothing published.
    let join = async |number: u8, die_at: Option<(usize, &[String])>| {
        let (key, home) = (B256::repeat_byte(number), tempfile::tempdir().unwrap());
        let person = builder(&world, key, home.path()).connect().await.unwrap();
        let error = person.create_identity().await.unwrap_err();
        assert!(matches!(error, PublishError::Join(JoinError::NoPass(_))), "{error}");
        grant(&world, &person).await;
        world.provider.anvil_set_balance(person.account().address(), U256::from(u64::MAX)).await.unwrap();
        person.buy_stamps(1.try_into().unwrap(), Limit::new(3).unwrap()).await.unwrap();
        drop(person);
        let steps = match die_at {
            None => done(&world, key, home.path(), Deed::Join).await,
            Some((die_at, steps)) => {
                let (status, reached) = run(&world, key, home.path(), Deed::Join, Some(die_at)).await;
                assert_eq!(status.signal(), Some(9), "it came to {reached:?} only");
                assert_eq!(reached, steps[..=die_at]);
                // What somebody would have who restored the files of just then.
                let copied = copy_of(home.path());
                done(&world, key, home.path(), Deed::Join).await;
                let copy = builder(&world, key, copied.path()).connect().await.unwrap();
                assert_eq!(copy.books().await.unwrap()[0].left, 2, "killed at {}", steps[die_at]);
                Vec::new()
            }
        };
        let person = builder(&world, key, home.path()).connect().await.unwrap();
        assert_eq!(person.books().await.unwrap()[0].left, 2);
        steps
    };
    let steps = join(1, None).await;
    for step in Step::OF_SENDING.iter().filter(|step| !matches!(step, Step::Reserving | Step::Reserved)) {
        assert!(steps.contains(&format!("{step:?}")), "joining never comes to {step:?}: {steps:?}");
    }
    for die_at in 0..steps.len() {
        join(u8::try_from(die_at).unwrap() + 2, Some((die_at, &steps))).await;
    }
    let (stamps, _) = each_index_went_with_one_envelope(&world);
    assert_eq!(stamps, steps.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_a_book_meet_and_every_stamp_goes_once() {
    let world = World::start().await;
    let (alice, bob, homes) = people(&world, 9).await;
    drop(alice);
    let (to, key) = (bob.account().to_string(), key(&world, ALICE));
    let owner = builder(&world, key, homes[0].path()).run_length(2).connect().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let successor = builder(&world, key, home.path()).run_length(2).connect().await.unwrap();
    successor.restore_identity().await.unwrap();
    let book = successor.books().await.unwrap()[0].book.id;
    successor.take_over(book).await.unwrap();
    let until_it_is_empty = |client: &'static str, it| {
        let (to, it): (_, &Client) = (to.clone(), it);
        async move {
            let mut sent = Vec::new();
            loop {
                let text = format!("{client} {}", sent.len());
                match it.send(&to, &text).await {
                    Ok(_) => sent.push(text),
                    Err(SendError::NoPass(_)) => return sent,
                    Err(error) => panic!("{client}: {error}"),
                }
            }
        }
    };
    let (mut sent, others) =
        tokio::join!(until_it_is_empty("owner", &owner), until_it_is_empty("successor", &successor));
    sent.extend(others);
    assert_eq!(sent.len(), 9, "{sent:?}");
    assert_eq!(letters(&bob).await, sorted(sent));
    assert_eq!(each_index_went_with_one_envelope(&world).0, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folder_put_back_from_yesterday_uses_nothing_again() {
    let world = World::start().await;
    let (alice, bob, homes) = people(&world, 60).await;
    let to = bob.account().to_string();
    alice.send(&to, "letter 0").await.unwrap();
    with(&alice, &bob).await.send("opened yesterday").await.unwrap();
    alice.close().await.unwrap();
    let yesterday = copy_of(homes[0].path());

    // Letters out of the book, and openings of their conversations.
    let today = async |home: &Path, numbers: std::ops::Range<usize>| {
        let alice = client(&world, ALICE, home).await;
        for number in numbers {
            alice.send(&to, &format!("letter {number}")).await.unwrap();
            assert!(with(&alice, &bob).await.send(&format!("message {number}")).await.unwrap().opened);
        }
    };
    today(homes[0].path(), 1..4).await;
    // The computer is lost without a farewell; the backup goes on.
    today(yesterday.path(), 4..7).await;
    // And the lost one is found.
    today(homes[0].path(), 7..9).await;
    assert_eq!(letters(&bob).await, sorted((0..9).map(|number| format!("letter {number}"))));
    for (number, conversation) in bob.conversations().await.unwrap().iter().enumerate() {
        let expected = if number == 0 { "opened yesterday".to_owned() } else { format!("message {number}") };
        assert_eq!(texts(&conversation.messages(Which::All).await.unwrap()), [expected]);
    }
    let (stamps, members) = each_index_went_with_one_envelope(&world);
    assert_eq!((stamps, members), (9, 9 + 1), "nine conversations and the journal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_sends_at_once_beside_a_watch_go_out_once_each() {
    let world = World::start().await;
    let (alice, bob, homes) = people(&world, 20).await;
    grant(&world, &bob).await;
    bob.buy_stamps(1.try_into().unwrap(), Limit::new(1).unwrap()).await.unwrap();
    let (to, account) = (&bob.account().to_string(), alice.account().to_string());
    drop(alice);
    let (world, home, key) = (&world, homes[0].path(), key(&world, ALICE));
    let watched = builder(world, key, home);
    let sends = join_all((0..10).map(|number| async move {
        done(world, key, home, Deed::Letter { to: to.clone(), text: format!("letter {number}") }).await;
    }));
    // Whoever watches goes on asking: between two letters the state is free for others. And who does not any more lets go of it.
    let (seen, mut letter) = tokio::sync::mpsc::unbounded_channel();
    let watch = async move {
        let mut arrivals = pin!(watched.stream(What::All, Which::New));
        while let Some(arrival) = arrivals.next().await {
            match arrival.unwrap() {
                Arrival::Letter(message) => seen.send(message.content.unwrap().as_text().unwrap().to_owned()).unwrap(),
                Arrival::Unverified(it) => panic!("{}", it.reason),
                Arrival::Message { .. } | Arrival::Interrupted { .. } => {}
            }
        }
    };
    let sent_and_seen = async {
        let (_, sent) = tokio::join!(sends, bob.send(&account, "while you send"));
        sent.unwrap();
        letter.recv().await.unwrap()
    };
    let seen = tokio::select! {
        seen = sent_and_seen => seen,
        () = watch => panic!("the stream has ended"),
    };
    assert_eq!(seen, "while you send");
    assert_eq!(letters(&bob).await, sorted((0..10).map(|number| format!("letter {number}"))));
    assert_eq!(each_index_went_with_one_envelope(world).0, 11);
    // A process that sends one letter reserves one stamp, and loses none.
    let alice = client(world, ALICE, home).await;
    assert_eq!(alice.books().await.unwrap()[0].left, 10);
}
