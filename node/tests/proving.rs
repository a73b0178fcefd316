//! Proofs in batches, honest publishers beside others: what each is told does not depend on who else is there.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use support::{ADMIN, Book, Person, Tag, World, metric, outcome, restart_with};
use tokio::net::TcpSocket;
use tonic::transport::{Channel, Endpoint, Uri};
use xmtp_proto::derive::Purpose;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::FieldElement;
use xmtp_proto::pass::{Pass, Stamp};
use xmtp_proto::postmark::SignedPostmark;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::wire::{self, node_client::NodeClient};

type Outcome = Result<SignedPostmark, Refusal>;

fn submission(envelope: &Envelope, stamp: &Stamp) -> Submission {
    Submission::new(envelope.clone(), vec![Pass::Stamp(stamp.clone())]).unwrap()
}

/// The same with a share that its proof does not prove; each number makes another.
fn forged(envelope: &Envelope, stamp: &Stamp, number: u64) -> Submission {
    let mut stamp = stamp.clone();
    stamp.proof.share = FieldElement::from(1000 + number).into();
    submission(envelope, &stamp)
}

async fn publish_all(client: &mut NodeClient<Channel>, submissions: &[Submission]) -> Vec<Outcome> {
    let publication = |it: &Submission| wire::Publication { submission: Some(it.clone().into()), expected_head: None };
    let publications = submissions.iter().map(publication).collect();
    let answer = client.publish(wire::PublishRequest { publications }).await.unwrap();
    answer.into_inner().results.into_iter().map(outcome).collect()
}

fn code(outcome: &Outcome) -> Option<Code> {
    outcome.as_ref().err().map(Refusal::code)
}

/// A client with another address of this machine, 127.0.0.x.
async fn client_from(world: &World, last: u8) -> NodeClient<Channel> {
    let node = world.node.as_ref().unwrap().address();
    let connector = tower::service_fn(move |_: Uri| async move {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        socket.connect(node).await.map(TokioIo::new)
    });
    let channel = Endpoint::from_static("http://node").connect_with_connector(connector).await.unwrap();
    NodeClient::new(channel)
}

/// Letters with a stamp each, from this index on.
async fn stamped_letters(world: &mut World, to: &Person, book: &Book, from: u16, count: u16) -> Vec<(Envelope, Stamp)> {
    let mut letters = Vec::new();
    for index in from..from + count {
        let letter = world.letter(to, &format!("letter {index}"));
        let stamp = world.stamp(book, index, &letter, Tag::ToTopic).await;
        letters.push((letter, stamp));
    }
    letters
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_letters_beside_forged_ones_are_accepted() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 32, 11).await;
    let letters = stamped_letters(&mut world, &bob, &book, 0, 12).await;
    // Never published: what is in the log already is not judged again.
    let (lost, lost_stamp) = stamped_letters(&mut world, &bob, &book, 12, 1).await.remove(0);

    // Two calls at once, so that honest and forged ones of two peers wait together.
    let mut other = client_from(&world, 2).await;
    let honest: Vec<Submission> = letters.iter().map(|(letter, stamp)| submission(letter, stamp)).collect();
    let (here, there) = honest.split_at(6);
    let mut mixed: Vec<Submission> = Vec::new();
    for (number, it) in (0..).zip(there) {
        mixed.push(forged(&lost, &lost_stamp, number));
        mixed.push(it.clone());
        let mut pointless = lost_stamp.clone();
        pointless.proof.points = [0xff; 128];
        mixed.push(submission(&lost, &pointless));
    }
    let mut client = world.client.clone();
    let (here, mixed) = tokio::join!(publish_all(&mut client, here), publish_all(&mut other, &mixed));
    assert!(here.iter().all(Result::is_ok), "{here:?}");
    for it in mixed.chunks(3) {
        let codes: Vec<_> = it.iter().map(code).collect();
        assert_eq!(codes, [Some(Code::ProofInvalid), None, Some(Code::Malformed)]);
    }
}

/// Two groups with roots, external nullifiers and scopes of their own, and one verifying key.
#[tokio::test]
async fn stamp_and_membership_are_proved_in_one_batch() {
    let mut world = World::start().await;
    restart_with(&mut world, ADMIN).await;
    let (alice, bob) = (world.join(2).await, world.join(3).await);
    world.set_policy(&bob, 1, "member").await;
    let book = world.buy(1, 8, 11).await;
    let letter = world.letter(&bob, "letter");
    let stamp = world.stamp(&book, 0, &letter, Tag::ToNonce).await;
    let epoch = world.clock.now().epoch();
    let member = world.member(&alice, Purpose::Envelope, epoch, 0, &letter).await;
    let (mut bad_stamp, mut bad_member) = (stamp.clone(), member.clone());
    bad_stamp.proof.share = FieldElement::from(1000).into();
    bad_member.proof.share = FieldElement::from(1001).into();
    for (sentence, stamp, member, refused) in [
        ("a bad stamp beside a membership", &bad_stamp, &member, Some(Code::ProofInvalid)),
        ("a stamp beside a bad membership", &stamp, &bad_member, Some(Code::ProofInvalid)),
        ("both good", &stamp, &member, None),
    ] {
        let passes = vec![Pass::Stamp(stamp.clone()), Pass::Member(member.clone())];
        let outcome = world.publish(Submission::new(letter.clone(), passes).unwrap()).await;
        assert_eq!(code(&outcome), refused, "{sentence}");
    }
    assert_eq!(metric(&world, "xmtpn_proofs_batch_proofs_count").await, 3.0);
    assert_eq!(metric(&world, "xmtpn_proofs_batch_proofs_sum").await, 6.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_forged_letters_is_cut_off_and_holds_nobody_up() {
    let mut world = World::start().await;
    restart_with(&mut world, ADMIN).await;
    let bob = world.join(2).await;
    let book = world.buy(1, 32, 11).await;
    let letters = stamped_letters(&mut world, &bob, &book, 0, 8).await;
    // Never published: what is in the log already is not judged again.
    let (lost, lost_stamp) = stamped_letters(&mut world, &bob, &book, 12, 1).await.remove(0);

    // Eight connections of one peer, each with full calls one after the other, until it is told to stay away.
    let flood = async {
        let floods = (0..8).map(|connection| {
            let (lost, stamp, world) = (&lost, &lost_stamp, &world);
            async move {
                let mut client = client_from(world, 2).await;
                let mut forgeries = (0..).map(|number| forged(lost, stamp, connection << 32 | number));
                loop {
                    let call: Vec<Submission> = forgeries.by_ref().take(MAX_PER_CALL).collect();
                    for outcome in publish_all(&mut client, &call).await {
                        match outcome.unwrap_err() {
                            Refusal::ProofInvalid => {}
                            Refusal::Overloaded { retry_after } if retry_after > Duration::from_secs(30) => return,
                            // The lane of peers like this one is short.
                            Refusal::Overloaded { .. } => {}
                            refusal => panic!("{refusal}"),
                        }
                    }
                }
            }
        });
        join_all(floods).await;
    };
    let mut client = world.client.clone();
    let honest = async {
        for (letter, stamp) in &letters {
            let outcomes = publish_all(&mut client, &[submission(letter, stamp)]).await;
            assert!(outcomes[0].is_ok(), "{outcomes:?}");
        }
    };
    tokio::join!(flood, honest);

    // Cut off means that nothing of the peer is looked at: what is good neither.
    let mut cut_off = client_from(&world, 2).await;
    let again = world.letter(&bob, "again");
    let stamp = world.stamp(&book, 30, &again, Tag::ToTopic).await;
    let refused = publish_all(&mut cut_off, &[submission(&again, &stamp)]).await;
    assert_eq!(code(&refused[0]), Some(Code::Overloaded), "{refused:?}");
    let stored = publish_all(&mut cut_off, &[submission(&letters[0].0, &letters[0].1)]).await;
    assert!(stored[0].is_ok(), "what is stored is acknowledged to whoever repeats it: {stored:?}");
    world.publish(submission(&again, &stamp)).await.unwrap();

    assert!(metric(&world, "xmtpn_proofs_bad_total").await > 256.0);
    assert!(metric(&world, "xmtpn_proofs_turned_away_total{reason=\"cut_off\"}").await > 0.0);
    assert!(metric(&world, "xmtpn_proofs_batch_proofs_count").await > 0.0);
    assert_eq!(metric(&world, "xmtpn_proofs_waiting").await, 0.0);
}

#[tokio::test]
async fn double_spend_is_proved_once_and_never_again() {
    let mut world = World::start().await;
    restart_with(&mut world, ADMIN).await;
    let bob = world.join(2).await;
    let book = world.buy(1, 16, 11).await;
    let letters = stamped_letters(&mut world, &bob, &book, 0, 1).await;
    let (letter, stamp) = &letters[0];
    world.publish(submission(letter, stamp)).await.unwrap();
    let second = world.letter(&bob, "another letter");
    let again = world.stamp(&book, 0, &second, Tag::ToTopic).await;
    let another = world.letter(&bob, "a third letter");
    let other = world.stamp(&book, 1, &another, Tag::ToTopic).await;

    // What is no evidence yet may become some: it is proved, and closes the book.
    let refused = world.publish(submission(&second, &again)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NullifierUsed);
    let proved = metric(&world, "xmtpn_proofs_batch_proofs_sum").await;
    assert_eq!(proved, 2.0);
    for _ in 0..3 {
        assert_eq!(world.publish(submission(&second, &again)).await.unwrap_err(), refused);
        let forged = world.publish(forged(&second, &again, 1)).await.unwrap_err();
        assert_eq!(forged.code(), Code::NullifierUsed, "it would be so with a proof, too");
        let closed = world.publish(submission(&another, &other)).await.unwrap_err();
        assert_eq!(closed.code(), Code::SecretClosed);
    }
    assert_eq!(metric(&world, "xmtpn_proofs_batch_proofs_sum").await, proved);
    // The envelope that the stamp was used for is acknowledged as ever.
    world.publish(submission(letter, stamp)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_proofs_than_may_wait_are_told_to_come_back() {
    let mut world = World::start().await;
    // A batch that waited for more would wait for an hour; but an idle node does not wait.
    restart_with(&mut world, "[limits]\nproofs = 3\nproof_linger = \"1h\"\n").await;
    let bob = world.join(2).await;
    let book = world.buy(1, 1, 11).await;
    let [(letter, stamp)] = stamped_letters(&mut world, &bob, &book, 0, 1).await.try_into().unwrap();
    let mut client = world.client.clone();

    // A full call of one letter: none is in the log yet when they come.
    let call = vec![submission(&letter, &stamp); MAX_PER_CALL];
    let outcomes = publish_all(&mut client, &call).await;
    let full = Refusal::Overloaded { retry_after: Duration::from_secs(1) };
    let turned_away = outcomes.iter().filter(|outcome| outcome.as_ref().err() == Some(&full)).count();
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(turned_away > 0 && accepted > 0 && turned_away + accepted == MAX_PER_CALL, "{outcomes:?}");
    assert_eq!(publish_all(&mut client, &call[..1]).await[0], outcomes.into_iter().find(Result::is_ok).unwrap());
}
