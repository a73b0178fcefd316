//! A campaign of readers that come and go: by topic, by prefix, through the SDK; they hang up in the middle of what they read, take
//! nothing for too long, and find the node restarted. Every message reaches each of them once. `scripts/campaign streams` runs it;
//! without harness, for it takes numbers and ends with figures.
//!
//! ```text
//! append ──► log ──► readers, each with a cursor of its own ──► missed? twice?
//!    └── restart the node, and go on
//! ```

#![allow(clippy::unwrap_used)] // A test may.

#[path = "../crash/dice.rs"]
mod dice;
mod mail;
mod reader;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use alloy::primitives::B256;
use clap::Parser;
use dice::Dice;
use mail::{Mail, Post};
use reader::{Found, Reader, Wants};
use support::World;
use tokio::sync::watch;
use tokio::task::JoinSet;
use xmtp_node::store::{Entry, Store};
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

/// Conversations that the messages go to, in turn.
pub(crate) const CONVERSATIONS: u8 = 16;
/// Long enough that some hundred fill what a reader has ahead of it.
const MESSAGE_BYTES: usize = 512;
/// Messages that are appended together.
const TOGETHER: u64 = 128;
/// Stretches of messages, with a restart of the node between two.
const STRETCHES: u64 = 4;
/// When all is there, no reader needs longer than this after another.
const PATIENCE: Duration = Duration::from_secs(120);
/// A reader that takes nothing is cut off after this.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages for each letter that goes through the SDK: letters take a proof.
const MESSAGES_PER_LETTER: u64 = 1_000;
const LETTERS_MAX: u64 = 24;
/// Messages for each that goes through the SDK, to a reader that is the SDK's: some take milliseconds.
const MESSAGES_PER_SAID: u64 = 20;
/// What is said on one day, in one conversation, has a quota.
const SAID_MAX: u64 = 5_000;

#[derive(Parser)]
struct Options {
    /// How many.
    #[arg(long, default_value_t = 4_000)]
    messages: u64,
    /// When readers hang up. Chosen by the clock if left out.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Options { messages, seed } = Options::parse();
    let seed = seed.unwrap_or_else(|| Clock::system().now().as_nanos());
    // Whole turns, so that every conversation gets as many.
    let turn = STRETCHES * u64::from(CONVERSATIONS);
    let messages = messages.div_ceil(turn) * turn;
    eprintln!("seed {seed}; {messages} messages");
    let mut dice = Dice::new(seed);
    let mut world = World::start().await;
    let letters = (messages / MESSAGES_PER_LETTER).clamp(STRETCHES, LETTERS_MAX) / STRETCHES * STRETCHES;
    let said = (messages / MESSAGES_PER_SAID).clamp(STRETCHES, SAID_MAX) / STRETCHES * STRETCHES;
    // Two more letters: the one that begins the conversation, and the last.
    let mail = Mail::start(&world, letters + 2).await;
    world.limit_sending(SEND_TIMEOUT).await;
    let url = format!("http://{}", world.node.as_ref().unwrap().address());

    let (complete, is_complete) = watch::channel(None);
    let mut readers = JoinSet::new();
    let each = messages / u64::from(CONVERSATIONS);
    for wants in Wants::all() {
        let reader = Reader::new(url.clone(), wants, each, is_complete.clone(), dice.fork());
        readers.spawn(reader.read());
    }
    let (mut post, mut readers_dice) = (Post::default(), dice.fork());
    let reading = mail.read(&mut post, letters + 1, said + 1, &mut readers_dice);
    let writing = async {
        for stretch in 0..STRETCHES {
            let store = world.node.as_ref().unwrap().store().clone();
            let stretch_of_messages = stretch * messages / STRETCHES..(stretch + 1) * messages / STRETCHES;
            append(&store, world.network, stretch_of_messages).await;
            drop(store);
            mail.send(letters / STRETCHES).await;
            mail.talk(said / STRETCHES).await;
            if stretch + 1 < STRETCHES {
                world.restart_in_place().await;
            }
            eprintln!("{}/{STRETCHES}: {} messages are there", stretch + 1, (stretch + 1) * messages / STRETCHES);
        }
    };
    tokio::join!(writing, reading);
    // Behind all that was read, one more of each: nothing may stand between.
    tokio::join!(
        async {
            mail.send(1).await;
            mail.talk(1).await;
        },
        mail.read(&mut post, letters + 2, said + 2, &mut dice)
    );
    complete.send_replace(Some(world.node.as_ref().unwrap().store().durable().0));

    let mut found = Found::default();
    while let Ok(Some(ended)) = tokio::time::timeout(PATIENCE, readers.join_next()).await {
        found.add(ended.unwrap());
    }
    let (stuck, readers) = (readers.len(), Wants::all().len());
    eprintln!("── {messages} messages, {readers} readers, {} restarts of the node", STRETCHES - 1);
    eprintln!("received       {}", found.received);
    eprintln!("hung up        {}", found.hung_up);
    eprintln!("cut off        {}", found.cut_off);
    eprintln!("interrupted    {}", found.interrupted);
    eprintln!("missed         {}", found.missed);
    eprintln!("twice          {}", found.twice);
    eprintln!("stuck          {stuck}");
    let (letters, said, never_again) = (letters + 2, said + 2, post.never_again().saturating_sub(1));
    eprintln!("letters        {letters}, of which {} came", post.letters);
    eprintln!("said           {said}, of which {} came", post.messages);
    eprintln!("of both        {} out of turn, {never_again} not again", post.out_of_turn);
    let void = [found.hung_up, found.cut_off, found.interrupted, post.hung_up, post.interrupted].contains(&0);
    if void {
        eprintln!("void: nobody hung up, or nobody was cut off");
    }
    let json = serde_json::json!({
        "campaign": "streams",
        "seed": seed,
        "messages": messages,
        "readers": readers,
        "restarts": STRETCHES - 1,
        "received": found.received,
        "hung_up": found.hung_up,
        "cut_off": found.cut_off,
        "interrupted": found.interrupted,
        "missed": found.missed,
        "twice": found.twice,
        "stuck": stuck,
        "letters": letters,
        "letters_received": post.letters,
        "said": said,
        "said_received": post.messages,
        "mail_hung_up": post.hung_up,
        "mail_out_of_turn": post.out_of_turn,
        "mail_not_again": never_again,
    });
    println!("{json}");
    let all_came = (post.letters, post.messages) == (letters, said) && never_again == 0;
    let broken = found.missed + found.twice + post.out_of_turn > 0 || stuck > 0 || !all_came;
    if void || broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A conversation, told from others by its first bits.
pub(crate) fn conversation(number: u8) -> Topic {
    let mut id = [7; 32];
    id[0] = number * (u8::MAX / CONVERSATIONS + 1);
    Topic::Conversation(B256::from(id))
}

/// Puts messages into the log, past the door: this is about reading. Each says which of its conversation it is.
async fn append(store: &Store, network: NetworkId, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for together in numbers.chunks(usize::try_from(TOGETHER).unwrap()) {
        let appends = together.iter().map(|number| {
            let topic = conversation(u8::try_from(number % u64::from(CONVERSATIONS)).unwrap());
            let mut ciphertext = vec![0; MESSAGE_BYTES];
            ciphertext[..8].copy_from_slice(&(number / u64::from(CONVERSATIONS)).to_be_bytes());
            let id = EnvelopeId::new(network, &topic, Timestamp::default(), &ciphertext);
            let envelope = wire::Envelope { topic: topic.to_string(), sent_at_ns: 0, ciphertext };
            store.append(Entry::new(id, topic, wire::Submission { envelope: Some(envelope), passes: Vec::new() }))
        });
        // In order: appends are queued in the order in which they are begun.
        for appended in futures_util::future::join_all(appends).await {
            appended.unwrap();
        }
    }
}
