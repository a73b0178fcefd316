//! Who may write to whom, end to end: requests, connections, blocks and policies, on as many clients as people like.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::time::Duration;

use support::World;
use tempfile::TempDir;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::requirement::Shown;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Client, SendError};
use xmtp_sdk::connection::{ConnectionError, Standing, Terms};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::state::JournalCopy;

const ALICE: usize = 1;
const BOB: usize = 2;
const CAROL: usize = 3;

async fn client(world: &World, person: usize, home: &Path) -> Client {
    world.builder(person, home).clock(world.clock.clone()).run_length(1).connect().await.unwrap()
}

struct People {
    alice: Client,
    bob: Client,
    carol: Client,
    homes: [TempDir; 3],
}

/// Alice with eight stamps of one unit, Bob who asks for tagged ones or a connection, and Carol who does too.
async fn people(world: &World) -> People {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let alice = client(world, ALICE, homes[0].path()).await;
    let bob = client(world, BOB, homes[1].path()).await;
    let carol = client(world, CAROL, homes[2].path()).await;
    for it in [&alice, &bob, &carol] {
        it.create_identity().await.unwrap();
    }
    for it in [&bob, &carol] {
        it.set_policy("any(connection, stamp(1, tagged))".parse().unwrap()).await.unwrap();
    }
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap()).await.unwrap();
    People { alice, bob, carol, homes }
}

async fn shown(alice: &Client, to: &Client, text: &str) -> Vec<Shown> {
    alice.send(&to.account().to_string(), text).await.unwrap().passes
}

async fn standing(of: &Client, with: &Client) -> Standing {
    let relations = of.relations().await.unwrap();
    relations.iter().find(|it| it.peer == with.account()).map_or(Standing::Silent, |it| it.theirs)
}

/// The letters of an account's topic, as a node stores them.
async fn letters(world: &World, of: &Client) -> Vec<Submission> {
    let topic = Topic::Invite(of.account());
    let page = world.node.as_ref().unwrap().store().page(&topic, Cursor::default(), 100, false).unwrap();
    page.records.into_iter().map(|record| record.submission.unwrap().try_into().unwrap()).collect()
}

#[tokio::test]
async fn accepted_request_lets_its_author_write_for_nothing() {
    let world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let People { alice, bob, homes, .. } = people(&world).await;
    assert!(matches!(bob.accept(alice.account(), Terms::default()).await, Err(ConnectionError::NoRequest(_))));
    let paid = shown(&alice, &bob, "Dear Bob").await;
    assert!(matches!(paid[..], [Shown::Stamp { tagged: true, .. }]), "{paid:?}");
    assert_eq!(standing(&bob, &alice).await, Standing::Requested);

    let accepted = bob.accept(alice.account(), Terms { quota: 2, ..Terms::default() }).await.unwrap();
    assert!(accepted.message.opened, "to accept is to open the conversation");
    assert_eq!(standing(&bob, &alice).await, Standing::Accepted(accepted.attestation));
    assert_eq!(shown(&alice, &bob, "not read yet").await.len(), 1);
    let relation = alice.relations().await.unwrap().into_iter().find(|it| it.peer == bob.account()).unwrap();
    assert_eq!(relation.ours, Some(accepted.attestation));
    let what = alice.requirements(bob.account()).await.unwrap();
    assert_eq!(what.at_hand.unwrap().cost.units, 0);
    for text in ["first of the day", "second"] {
        assert_eq!(shown(&alice, &bob, text).await, [Shown::Connection], "{text}");
    }
    // The quota is used up: what else suffices goes with another envelope, without anybody's doing.
    let passes = shown(&alice, &bob, "third").await;
    assert!(matches!(passes[..], [Shown::Stamp { tagged: true, .. }]), "{passes:?}");
    assert_eq!(bob.inbox(Which::All).await.unwrap().messages.len(), 5);

    // Another installation of Alice's, restored from the wallet, has the connection out of the journal or the conversation.
    world.clock.set(world.clock.now().saturating_add(Duration::from_secs(86_400)));
    world.node.as_ref().unwrap().chain().wait_for(|view| view.as_of() >= Some(world.clock.now())).await.unwrap();
    alice.sync().await.unwrap();
    assert!(alice.state().words().unwrap().iter().all(|kept| kept.copy == JournalCopy::Made));
    let home = tempfile::tempdir().unwrap();
    let second = client(&world, ALICE, home.path()).await;
    second.restore_identity().await.unwrap();
    second.sync().await.unwrap();
    assert_eq!(shown(&second, &bob, "from elsewhere").await, [Shown::Connection]);
    drop(homes);
}

#[tokio::test]
async fn revoked_and_blocked_ones_are_shut_out_however_they_try() {
    let world = World::start().await;
    let People { alice, bob, carol, homes: _homes } = people(&world).await;
    shown(&alice, &bob, "Dear Bob").await;
    bob.accept(alice.account(), Terms::default()).await.unwrap();
    alice.relations().await.unwrap();
    assert_eq!(shown(&alice, &bob, "for nothing").await, [Shown::Connection]);

    bob.revoke(alice.account()).await.unwrap();
    assert_eq!(standing(&bob, &alice).await, Standing::Revoked);
    assert!(matches!(bob.revoke(alice.account()).await, Err(ConnectionError::NotConnected(_))));
    // She asks anew with every letter, and so learns of it.
    let paid = shown(&alice, &bob, "for a stamp").await;
    assert!(matches!(paid[..], [Shown::Stamp { tagged: true, .. }]), "{paid:?}");

    bob.accept(alice.account(), Terms::default()).await.unwrap();
    alice.relations().await.unwrap();
    assert_eq!(shown(&alice, &bob, "a second chance").await, [Shown::Connection]);
    let blocked = bob.block(alice.account()).await.unwrap();
    assert_eq!((blocked.tags, blocked.revoked), (1, 1), "a pseudonym of one book, and a connection");
    assert_eq!(standing(&bob, &alice).await, Standing::Blocked);
    // Her book is known by its tag; what she has left suffices for nothing.
    let refused = alice.send(&bob.account().to_string(), "please").await.unwrap_err();
    assert!(matches!(refused, SendError::NoPass(_)), "{refused}");
    // Nothing is forgotten when the policy changes, and a requirement without tags lets her stamps in, but shows nothing.
    bob.set_policy("stamp(1)".parse().unwrap()).await.unwrap();
    shown(&alice, &bob, "let me in").await;
    let inbox = bob.inbox(Which::All).await.unwrap();
    assert!(inbox.messages.is_empty() && inbox.blocked > 0, "{} are shown", inbox.messages.len());
    // Towards somebody else she is as good as ever.
    shown(&alice, &carol, "Dear Carol").await;
    // And Bob may change his mind.
    bob.set_policy("any(connection, stamp(1, tagged))".parse().unwrap()).await.unwrap();
    bob.accept(alice.account(), Terms::default()).await.unwrap();
    let policy = bob.policy(bob.account()).await.unwrap().unwrap();
    assert_eq!((policy.blocked_tags.len(), policy.revoked_attestations.len()), (0, 2));
    alice.relations().await.unwrap();
    assert_eq!(shown(&alice, &bob, "thank you").await, [Shown::Connection]);
    assert!(!bob.inbox(Which::All).await.unwrap().messages.is_empty());
}

#[tokio::test]
async fn account_alone_writes_for_free_where_network_and_recipient_allow_it() {
    let mut world = World::start().await;
    world.ask_at_invites("any(member, stamp(1))").await;
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let alice = client(&world, ALICE, homes[0].path()).await;
    let bob = client(&world, BOB, homes[1].path()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy("member".parse().unwrap()).await.unwrap();
    for text in ["one", "two"] {
        assert_eq!(shown(&alice, &bob, text).await, [Shown::Member], "{text}");
    }
    // Two installations share the day's indices, each its own.
    let second = client(&world, ALICE, homes[2].path()).await;
    second.restore_identity().await.unwrap();
    assert_eq!(shown(&second, &bob, "three").await, [Shown::Member]);
    let inbox = bob.inbox(Which::All).await.unwrap().messages;
    let tags: std::collections::HashSet<_> = inbox.iter().map(|message| message.tag.unwrap().to_string()).collect();
    assert_eq!((inbox.len(), tags.len()), (3, 1), "one pseudonym towards Bob");

    assert_eq!(bob.block(alice.account()).await.unwrap().tags, 1);
    for blocked in [&alice, &second] {
        let refused = blocked.send(&bob.account().to_string(), "four").await.unwrap_err();
        assert!(matches!(refused, SendError::NoPass(_)), "{refused}");
    }
}

#[tokio::test]
async fn declined_request_stays_without_an_answer() {
    let world = World::start().await;
    let People { alice, bob, homes: _homes, .. } = people(&world).await;
    shown(&alice, &bob, "Dear Bob").await;
    bob.decline(alice.account()).await.unwrap();
    assert_eq!(standing(&bob, &alice).await, Standing::Declined);
    let relation = alice.relations().await.unwrap().into_iter().find(|it| it.peer == bob.account()).unwrap();
    assert_eq!((relation.theirs, relation.ours), (Standing::Silent, None), "nobody is told");
}

/// Towards each recipient another pseudonym, another key, another conversation: all bytes that a node has of two letters of one
/// sender, taken in every window of sixteen, have nothing in common but what they have with a third person's.
#[tokio::test]
async fn sender_towards_another_recipient_is_not_linkable() {
    let world = World::start().await;
    let People { alice, bob, carol, homes: _homes } = people(&world).await;
    let recipients = [&bob, &carol];
    for to in recipients {
        shown(&alice, to, "with a stamp").await;
        to.accept(alice.account(), Terms::default()).await.unwrap();
    }
    alice.relations().await.unwrap();
    for to in recipients {
        assert_eq!(shown(&alice, to, "with a connection").await, [Shown::Connection]);
    }

    let mut tags = Vec::new();
    let mut seen: Vec<Vec<Vec<u8>>> = Vec::new();
    for to in recipients {
        let mut fields = Vec::new();
        for submission in letters(&world, to).await {
            fields.push(submission.envelope().ciphertext.clone());
            for pass in submission.passes() {
                match pass {
                    Pass::Stamp(stamp) => {
                        tags.push(stamp.proof.tag);
                        let proof = &stamp.proof;
                        fields.extend(
                            [proof.nullifier.as_bytes(), proof.share.as_bytes(), proof.tag.as_bytes()]
                                .map(|it| it.to_vec()),
                        );
                        fields.push(proof.points.to_vec());
                    }
                    Pass::Connection(it) => {
                        fields.extend([it.holder.to_vec(), it.attestation.to_vec(), it.signature.to_vec()]);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(fields.len(), 2 + 4 + 3, "a letter with a stamp and one with a connection");
        seen.push(fields);
    }
    let [one, other] = tags[..] else { panic!("{tags:?}") };
    assert_ne!(one, other);
    let windows = |fields: &[Vec<u8>]| -> std::collections::HashSet<Vec<u8>> {
        fields.iter().flat_map(|field| field.windows(16).map(<[u8]>::to_vec)).collect()
    };
    let [mut of_bob, of_carol] = [windows(&seen[0]), windows(&seen[1])];
    let common: Vec<_> = of_bob.intersection(&of_carol).collect();
    assert!(common.is_empty(), "{} windows in common, such as {:02x?}", common.len(), common.first());
    // And it would be found: the same search sees one field that is in both.
    of_bob.extend(windows(&[seen[1][1].clone()]));
    assert!(of_bob.intersection(&of_carol).count() > 0);
    // A conversation with each, and none in common.
    let topics = |client: &Client| client.state().kept_conversations().unwrap().len();
    assert_eq!((topics(&bob), topics(&carol)), (1, 1));
}

#[tokio::test]
async fn change_of_policy_counts_from_the_next_letter_on_and_is_said_clearly() {
    let world = World::start().await;
    let People { alice, bob, homes: _homes, .. } = people(&world).await;
    shown(&alice, &bob, "at the old price").await;
    bob.set_policy("stamp(3)".parse().unwrap()).await.unwrap();
    assert_eq!(shown(&alice, &bob, "at the new price").await.len(), 3);
    bob.set_policy("any()".parse().unwrap()).await.unwrap();
    let Err(SendError::NoPass(refused)) = alice.send(&bob.account().to_string(), "to nobody").await else { panic!() };
    assert!(refused.to_string().ends_with("and any(), and no passes at hand meet that; nothing would"), "{refused}");
    bob.set_policy("all()".parse().unwrap()).await.unwrap();
    assert_eq!(shown(&alice, &bob, "at the network's price").await.len(), 1);
}
