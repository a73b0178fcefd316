//! What did not get through: it goes out later and once, or whoever wrote it is told.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use support::{Person, World, until};
use tempfile::TempDir;
use tokio::sync::Notify;
use xmtp_proto::derive::Purpose;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::Code;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, MAX_AGE};
use xmtp_prover::Limit;
use xmtp_sdk::client::{Builder, Client, Mail, Resent, Step};
use xmtp_sdk::conversation::{Conversation, ConversationError};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::invite::ConversationKeys;
use xmtp_sdk::message::Channel;
use xmtp_sdk::state::Letter;

const ALICE: usize = 1;
const BOB: usize = 2;

fn builder(world: &World, person: usize, home: &Path) -> Builder {
    world.builder(person, home).clock(world.clock.clone()).run_length(1)
}

/// Alice, with stamps for some letters, and Bob.
async fn people(world: &World, homes: &[TempDir; 2]) -> (Client, Client) {
    let alice = builder(world, ALICE, homes[0].path()).connect().await.unwrap();
    let bob = builder(world, BOB, homes[1].path()).connect().await.unwrap();
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy("stamp(1)".parse().unwrap()).await.unwrap();
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap()).await.unwrap();
    (alice, bob)
}

async fn with<'a>(client: &'a Client, peer: &Client) -> Conversation<'a> {
    client.conversation(peer.account()).await.unwrap().unwrap()
}

async fn texts(conversation: &Conversation<'_>) -> Vec<String> {
    let read = conversation.messages(Which::All).await.unwrap();
    assert!(read.unverified.is_empty());
    read.messages.iter().map(|it| it.content.as_ref().unwrap().as_text().unwrap().to_owned()).collect()
}

/// Writes to a node that is gone, and back again afterwards, elsewhere.
async fn lose(world: &mut World, homes: &[TempDir; 2], text: &str) -> (Client, Client) {
    let alice = builder(world, ALICE, homes[0].path()).connect().await.unwrap();
    let bob = builder(world, BOB, homes[1].path()).connect().await.unwrap();
    let conversation = with(&alice, &bob).await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let lost = conversation.send(text).await.unwrap_err();
    // The latter if the connection was seen to be gone before it was sent.
    assert!(matches!(lost, ConversationError::Unknown(_) | ConversationError::Transport(_)), "{lost}");
    let waiting = alice.outbox().unwrap().pop().unwrap();
    assert_eq!((waiting.what, waiting.to, waiting.refused), (Mail::Message, bob.account(), None));
    assert_eq!(waiting.content.unwrap().as_text(), Some(text));
    drop((alice, bob));
    world.rebind().await;
    let alice = builder(world, ALICE, homes[0].path()).connect().await.unwrap();
    let bob = builder(world, BOB, homes[1].path()).connect().await.unwrap();
    (alice, bob)
}

/// Longer than nodes take a message, and until the node knows its chain as of then.
async fn pass_hours(world: &World) {
    let now = world.clock.now().saturating_add(2 * MAX_AGE);
    world.clock.set(now);
    let chain = world.node.as_ref().unwrap().chain();
    until("the node knows its chain", async || chain.view().as_of().is_some_and(|as_of| as_of >= now)).await;
}

#[tokio::test]
async fn message_that_waited_for_hours_goes_out_and_one_that_had_arrived_does_not_go_out_twice() {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, bob) = people(&world, &homes).await;
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    with(&alice, &bob).await.send("one").await.unwrap();
    drop((alice, bob));

    let (alice, bob) = lose(&mut world, &homes, "two").await;
    let conversation = with(&alice, &bob).await;
    let [two] = alice.state().posts(&conversation.topic()).unwrap().try_into().unwrap();
    let sent = conversation.send("two").await.unwrap();
    assert_eq!(sent.envelope, two.id(world.network), "the same one");
    drop((alice, bob));
    let (alice, bob) = lose(&mut world, &homes, "three").await;
    // As if the answer had been lost: it has arrived, and is still on record.
    alice.state().begin_post(&two).unwrap();
    pass_hours(&world).await;
    let conversation = with(&alice, &bob).await;
    let sent = conversation.send("four").await.unwrap();
    assert_eq!((sent.before.delivered, sent.before.unsent.as_slice()), (2, [].as_slice()));
    assert_eq!(texts(&conversation).await, ["one", "two", "three", "four"]);
    assert_eq!(texts(&with(&bob, &alice).await).await, ["one", "two", "three", "four"]);
    assert_eq!(alice.outbox().unwrap(), []);
}

#[tokio::test]
async fn message_is_written_again_hours_later_and_there_is_one() {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, bob) = people(&world, &homes).await;
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    drop((alice, bob));
    let (alice, bob) = lose(&mut world, &homes, "one").await;
    pass_hours(&world).await;
    let conversation = with(&alice, &bob).await;
    conversation.send("one").await.unwrap();
    assert_eq!(texts(&conversation).await, ["one"]);
    assert_eq!(alice.outbox().unwrap(), []);
}

/// Opens the conversation that a letter began for so many units a day, as anybody can who knows its keys and is a member.
async fn open(world: &mut World, by: &Person, letter: &Letter, quota: u32) {
    let keys = ConversationKeys::new(letter.invitation.key_material(), letter.inviter.bundle, letter.invitee.bundle);
    let channel = Channel::new(world.network, keys, letter.inviter, letter.invitee);
    let (now, today) = (world.clock.now(), world.clock.now().epoch());
    let opening = channel.opening(now, quota).unwrap();
    let member = world.member(by, Purpose::Opening, today, 0, &opening).await;
    world.publish(Submission::new(opening, vec![Pass::Member(member)]).unwrap()).await.unwrap();
}

/// A long message has no room in the day's quota where the short ones behind it have.
#[tokio::test]
async fn refused_message_holds_up_none_of_those_behind_it_and_is_told_of_once() {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, bob) = people(&world, &homes).await;
    let member = world.join(7).await;
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    let conversation = with(&alice, &bob).await;
    open(&mut world, &member, conversation.letter(), 8).await;
    assert!(!conversation.send("one").await.unwrap().opened);
    drop((alice, bob));

    let long = "a long story. ".repeat(5_000);
    let a_moment_passes = |world: &World| world.clock.set(world.clock.now().saturating_add(Duration::from_secs(1)));
    let mut said = vec!["one"];
    for (behind, by_itself) in [("two", Some("three")), ("four", None)] {
        for text in [&long, behind] {
            drop(lose(&mut world, &homes, text).await);
            a_moment_passes(&world);
        }
        let alice = builder(&world, ALICE, homes[0].path()).connect().await.unwrap();
        let bob = builder(&world, BOB, homes[1].path()).connect().await.unwrap();
        let conversation = with(&alice, &bob).await;
        let before = match by_itself {
            Some(text) => conversation.send(text).await.unwrap().before,
            None => alice.resume_outbox().await.unwrap(),
        };
        let [refused] = before.unsent.try_into().unwrap();
        assert_eq!((before.delivered, refused.refused), (1, Some(Code::QuotaExhausted)), "behind it came {behind}");
        assert_eq!(refused.content.unwrap().as_text(), Some(long.as_str()));
        said.extend([behind].into_iter().chain(by_itself));
        assert_eq!(texts(&conversation).await, said);
        assert_eq!(texts(&with(&bob, &alice).await).await, said);
        assert_eq!((alice.outbox().unwrap(), alice.resume_outbox().await.unwrap()), (vec![], Resent::default()));
    }
}

#[tokio::test]
async fn letter_that_is_refused_when_it_is_sent_again_is_told_of_and_listed() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, bob) = people(&world, &homes).await;
    drop(alice);
    let proving = Arc::new(Notify::new());
    let on_step = {
        let proving = Arc::clone(&proving);
        move |step| {
            if step == Step::Proving {
                proving.notify_one()
            }
        }
    };
    let alice = builder(&world, ALICE, homes[0].path()).on_step(on_step).connect().await.unwrap();
    let to = bob.account().to_string();
    tokio::select! {
        biased;
        () = proving.notified() => {}
        _ = alice.send(&to, "Dear Bob") => panic!("sent without a proof"),
    }
    let [waiting] = alice.outbox().unwrap().try_into().unwrap();
    assert_eq!((waiting.what, waiting.refused), (Mail::Letter, None));
    assert_eq!(waiting.content.unwrap().as_text(), Some("Dear Bob"));

    // Dearer now than what belongs to the letter.
    bob.set_policy("stamp(5)".parse().unwrap()).await.unwrap();
    let resent = alice.resume_outbox().await.unwrap();
    let [refused] = resent.unsent.try_into().unwrap();
    assert_eq!(
        (resent.delivered, refused.envelope, refused.refused),
        (0, waiting.envelope, Some(Code::RequirementUnmet))
    );
    assert_eq!(alice.outbox().unwrap(), [refused]);

    bob.set_policy("stamp(1)".parse().unwrap()).await.unwrap();
    let sent = alice.send(&to, "Dear Bob").await.unwrap();
    assert_eq!(sent.envelope, waiting.envelope, "the same letter");
    assert_eq!(alice.outbox().unwrap(), []);
}
