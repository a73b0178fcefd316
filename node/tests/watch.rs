//! Mail as it comes: the SDK's stream against a real node that comes and goes.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use support::World;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Builder, Client};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::stream::{Arrival, StreamError, What};

fn builder(world: &World, number: usize, home: &Path) -> Builder {
    world.builder(number, home)
}

/// Alice with stamps, Bob, and where each of them lives.
struct People {
    alice: Client,
    bob: Builder,
    to: String,
    _homes: [tempfile::TempDir; 2],
}

async fn people(world: &World) -> People {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice = builder(world, 1, homes[0].path()).connect().await.unwrap();
    alice.create_identity().await.unwrap();
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(20).unwrap()).await.unwrap();

    let bob = builder(world, 2, homes[1].path());
    let client = bob.clone().connect().await.unwrap();
    client.create_identity().await.unwrap();
    let to = client.account().to_string();
    People { alice, bob, to, _homes: homes }
}

type Arrivals<'a> = std::pin::Pin<&'a mut (dyn Stream<Item = Result<Arrival, StreamError>> + Send)>;

/// The next letter's text, and how often the stream was interrupted before it.
async fn next(arrivals: &mut Arrivals<'_>) -> (String, usize) {
    let mut interrupted = 0;
    let letter = async {
        loop {
            match arrivals.next().await.expect("no end").unwrap() {
                Arrival::Letter(message) => break message.content.unwrap().as_text().unwrap().to_owned(),
                Arrival::Message { message, .. } => break message.content.unwrap().as_text().unwrap().to_owned(),
                Arrival::Unverified(unverified) => panic!("not genuine: {}", unverified.reason),
                Arrival::Interrupted { .. } => interrupted += 1,
            }
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(60), letter).await.expect("a letter in time");
    (text, interrupted)
}

async fn expect(arrivals: &mut Arrivals<'_>, expected: &[&str]) {
    for expected in expected {
        assert_eq!(next(arrivals).await.0, *expected);
    }
}

#[tokio::test]
async fn letters_around_a_restart_of_the_node_come_once_each() {
    let mut world = World::start().await;
    let People { alice, bob, to, _homes } = people(&world).await;
    alice.send(&to, "before anybody watched").await.unwrap();

    let client = bob.clone().connect().await.unwrap();
    let mut arrivals: Arrivals<'_> = pin!(client.stream(What::All, Which::New));
    expect(&mut arrivals, &["before anybody watched"]).await;
    let (sent, ()) = tokio::join!(alice.send(&to, "while he watches"), expect(&mut arrivals, &["while he watches"]));
    sent.unwrap();

    // The stream is asked while the node goes away and comes back.
    let restarted = async {
        world.restart_in_place().await;
        alice.send(&to, "after the restart").await.unwrap();
    };
    let ((), (text, interrupted)) = tokio::join!(restarted, next(&mut arrivals));
    assert_eq!(text, "after the restart");
    assert!(interrupted > 0, "nobody was told");

    // And while it is not.
    alice.send(&to, "unseen").await.unwrap();
    world.restart_in_place().await;
    alice.send(&to, "behind the unseen").await.unwrap();
    expect(&mut arrivals, &["unseen", "behind the unseen"]).await;
    assert!(arrivals.next().now_or_never().is_none(), "nothing comes twice");
}

#[tokio::test]
async fn restarted_client_goes_on_behind_what_it_read() {
    let world = World::start().await;
    let People { alice, bob, to, _homes } = people(&world).await;
    for text in ["first", "second", "third"] {
        alice.send(&to, text).await.unwrap();
    }
    {
        let mut arrivals: Arrivals<'_> = pin!(bob.clone().stream(What::All, Which::New));
        expect(&mut arrivals, &["first", "second"]).await;
        // Dropped before the next one was asked for: the second may not have been read.
    }
    let mut arrivals: Arrivals<'_> = pin!(bob.clone().stream(What::All, Which::New));
    expect(&mut arrivals, &["second", "third"]).await;
    // Waiting is reading on. The state is free meanwhile: another client of the account can have it.
    assert!(tokio::time::timeout(Duration::from_secs(2), arrivals.next()).await.is_err(), "there is no fourth");
    let other = tokio::time::timeout(Duration::from_secs(20), bob.clone().connect()).await.expect("the state is free");
    assert!(other.unwrap().inbox(Which::New).await.unwrap().messages.is_empty(), "all were read");
    expect_history(&bob, &["first", "second", "third"]).await;

    let (sent, ()) = tokio::join!(alice.send(&to, "fourth"), expect(&mut arrivals, &["fourth"]));
    sent.unwrap();
}

#[tokio::test]
async fn messages_come_with_the_letters_whoever_began_and_accepted_the_conversation() {
    let mut world = World::start().await;
    let People { alice, bob, to, _homes } = people(&world).await;
    let second_home = tempfile::tempdir().unwrap();
    let second = builder(&world, 2, second_home.path()).connect().await.unwrap();
    second.restore_identity().await.unwrap();
    {
        let mut arrivals: Arrivals<'_> = pin!(bob.clone().stream(What::All, Which::New));
        alice.send(&to, "a letter").await.unwrap();
        expect(&mut arrivals, &["a letter"]).await;
        // Nothing of it is read before somebody answers; here that is another installation, while he watches.
        alice.conversation(second.account()).await.unwrap().unwrap().send("P.S.").await.unwrap();
        let answer = async {
            second.conversation(alice.account()).await.unwrap().unwrap().send("an answer").await.unwrap();
        };
        let ((), ()) = tokio::join!(answer, expect(&mut arrivals, &["P.S.", "an answer"]));

        // One that begins meanwhile, with a letter of his own from another process on this machine.
        let own = async {
            let client = bob.clone().connect().await.unwrap();
            let conversation = client.conversation(alice.account()).await.unwrap().unwrap();
            conversation.send("by another process").await.unwrap();
        };
        let ((), ()) = tokio::join!(own, expect(&mut arrivals, &["by another process"]));

        // And around a restart of the node, without gap or repeat.
        let restarted = async {
            world.restart_in_place().await;
            let conversation = alice.conversation(second.account()).await.unwrap().unwrap();
            conversation.send("after the restart").await.unwrap();
        };
        let ((), (text, interrupted)) = tokio::join!(restarted, next(&mut arrivals));
        assert_eq!((text.as_str(), interrupted > 0), ("after the restart", true));
        let conversation = alice.conversation(second.account()).await.unwrap().unwrap();
        for text in ["one", "two", "three"] {
            conversation.send(text).await.unwrap();
        }
        expect(&mut arrivals, &["one", "two"]).await;
    }

    // The next process goes on with what may not have been read.
    let mut arrivals: Arrivals<'_> = pin!(bob.clone().stream(What::All, Which::New));
    expect(&mut arrivals, &["two", "three"]).await;
    let mut all: Arrivals<'_> = pin!(second.stream(What::All, Which::All));
    let mut texts = Vec::new();
    for _ in 0..8 {
        texts.push(next(&mut all).await.0);
    }
    texts.sort();
    let mut said = ["a letter", "P.S.", "an answer", "by another process", "after the restart", "one", "two", "three"];
    said.sort();
    assert_eq!(texts, said);
    assert!(all.next().now_or_never().is_none(), "nothing comes twice");
}

/// The whole history, to somebody who asks for all of it.
async fn expect_history(bob: &Builder, expected: &[&str]) {
    let mut arrivals: Arrivals<'_> = pin!(bob.clone().stream(What::All, Which::All));
    expect(&mut arrivals, expected).await;
}
