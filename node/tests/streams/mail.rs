//! Letters and a conversation through the SDK, while everything else goes on: its stream resumes by itself where the node went
//! away, and where the program that reads it was dropped.

use std::cell::Cell;
use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tempfile::TempDir;
use xmtp_prover::Limit;
use xmtp_sdk::client::Client;
use xmtp_sdk::inbox::{Message, Which};
use xmtp_sdk::stream::{Arrival, What};

use crate::dice::Dice;
use crate::support::World;

/// For one arrival, whatever the node does meanwhile.
const PATIENCE: Duration = Duration::from_secs(300);
/// Copies for other installations follow after this at the most, and openings.
const DELAY: Duration = Duration::from_secs(1);
/// Of so many that read on, one hangs up.
const HANGS_UP: u64 = 40;

/// Alice, who writes, and Bob, who answered her first letter and reads.
pub(crate) struct Mail {
    alice: Client,
    bob: Client,
    letters: Cell<u64>,
    messages: Cell<u64>,
    _homes: [TempDir; 2],
}

/// A letter or a message, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Item {
    Letter(u64),
    Message(u64),
}

/// What came.
#[derive(Default)]
pub(crate) struct Post {
    pub(crate) letters: u64,
    pub(crate) messages: u64,
    pub(crate) hung_up: u64,
    pub(crate) interrupted: u64,
    /// Neither the next nor one that was not read to the end.
    pub(crate) out_of_turn: u64,
    /// What was handed out when the reader hung up, and has to come again.
    again: HashSet<Item>,
}

impl Post {
    /// What had to come again and did not. The reader has not asked for what is behind the last.
    pub(crate) fn never_again(&self) -> usize {
        self.again.len()
    }
}

impl Mail {
    pub(crate) async fn start(world: &World, letters: u64) -> Self {
        let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let client = async |number: usize| {
            let builder = world.builder(number, homes[number - 1].path()).delay(DELAY);
            let client = builder.connect().await.unwrap();
            client.create_identity().await.unwrap();
            client
        };
        let (alice, bob) = (client(1).await, client(2).await);
        world.fund(alice.account().address()).await;
        let count = Limit::new(u32::try_from(letters).unwrap()).unwrap();
        alice.buy_stamps(1.try_into().unwrap(), count).await.unwrap();
        let mail = Self { alice, bob, letters: Cell::new(0), messages: Cell::new(0), _homes: homes };
        mail.send(1).await;
        let answer = mail.messages.replace(1).to_string();
        mail.bob.conversations().await.unwrap()[0].send(&answer).await.unwrap();
        mail
    }

    /// Sends so many letters, each of which says which it is.
    pub(crate) async fn send(&self, letters: u64) {
        for _ in 0..letters {
            let number = self.letters.replace(self.letters.get() + 1);
            self.alice.send(&self.bob.account().to_string(), &number.to_string()).await.unwrap();
        }
    }

    /// Goes on in the conversation with so many messages, each of which says which it is.
    pub(crate) async fn talk(&self, messages: u64) {
        // The oldest: the later letters begin others, which nobody answers.
        let conversations = self.alice.conversations().await.unwrap();
        for _ in 0..messages {
            let number = self.messages.replace(self.messages.get() + 1);
            assert!(!conversations[0].send(&number.to_string()).await.unwrap().opened);
        }
    }

    /// Reads until so many letters and messages have come in all. A stream that is dropped before it was asked for the next item
    /// has not read the last: that one comes again, and no other does.
    pub(crate) async fn read(&self, post: &mut Post, letters: u64, messages: u64, dice: &mut Dice) {
        loop {
            let mut arrivals = pin!(self.bob.stream(What::All, Which::New));
            loop {
                let arrival = tokio::time::timeout(PATIENCE, arrivals.next()).await;
                let Ok(Some(Ok(arrival))) = arrival else { return };
                let item = match arrival {
                    Arrival::Letter(message) => Item::Letter(number(&message)),
                    Arrival::Message { message, .. } => Item::Message(number(&message)),
                    Arrival::Unverified(unverified) => panic!("not genuine: {}", unverified.reason),
                    Arrival::Interrupted { .. } => {
                        post.interrupted += 1;
                        continue;
                    }
                };
                if !post.again.remove(&item) {
                    let (next, number) = match item {
                        Item::Letter(number) => (&mut post.letters, number),
                        Item::Message(number) => (&mut post.messages, number),
                    };
                    post.out_of_turn += u64::from(*next != number);
                    *next = number + 1;
                }
                let is_all = post.letters >= letters && post.messages >= messages && post.again.is_empty();
                if is_all {
                    post.again.insert(item);
                    return;
                }
                if dice.one_in(HANGS_UP) {
                    post.hung_up += 1;
                    post.again.insert(item);
                    break;
                }
            }
        }
    }
}

fn number(message: &Message) -> u64 {
    message.content.as_ref().unwrap().as_text().unwrap().parse().unwrap()
}
