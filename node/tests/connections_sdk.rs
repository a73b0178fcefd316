//! Who may write to whom, end to end: requests, connections, blocks and policies, on as many clients as people like.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alloy::primitives::B256;
use futures_util::FutureExt as _;
use support::World;
use tempfile::TempDir;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{FieldElement, Tag};
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::requirement::Shown;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Client, SendError, Step};
use xmtp_sdk::connection::{ConnectionError, Standing, Terms};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::state::{JournalCopy, Said};

const ALICE: usize = 1;
const BOB: usize = 2;
const CAROL: usize = 3;

async fn client(world: &World, person: usize, home: &Path) -> Client {
    client_that(world, person, home, |_| ()).await
}

/// A client whose steps somebody watches.
async fn client_that(
    world: &World,
    person: usize,
    home: &Path,
    on_step: impl Fn(Step) + Send + Sync + 'static,
) -> Client {
    let builder = world.builder(person, home).clock(world.clock.clone()).run_length(1);
    builder.on_step(on_step).connect().await.unwrap()
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
    a_while_passes(&world, Duration::from_secs(86_400)).await;
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

/// What an account vouched for is taken until it is named, so all of it is named: also what is said once more because nobody
/// knows whether it arrived, and what another installation said.
#[tokio::test]
async fn accepted_twice_is_shut_out_of_both() {
    let world = World::start().await;
    let People { alice, bob, carol, homes } = people(&world).await;
    shown(&alice, &bob, "Dear Bob").await;
    bob.conversation(alice.account()).await.unwrap().unwrap().send("Dear Alice").await.unwrap();
    drop(bob);
    // The message arrives, and the process dies before it knows.
    let dies = client_that(&world, BOB, homes[1].path(), |step| {
        assert!(step != Step::Recorded, "the process dies here, and the test knows");
    });
    let dies = dies.await;
    AssertUnwindSafe(dies.accept(alice.account(), Terms::default())).catch_unwind().await.unwrap_err();
    let words: Vec<_> = dies.state().words().unwrap().into_iter().map(|kept| kept.word.said).collect();
    assert!(matches!(words[..], [Said::Issued(_)]), "written down before anybody has it: {words:?}");
    drop(dies);
    // Alice reads of it, and nothing further.
    alice.relations().await.unwrap();
    let bob = client(&world, BOB, homes[1].path()).await;
    let again = bob.accept(alice.account(), Terms { quota: 2, ..Terms::default() }).await.unwrap();
    assert_eq!(standing(&bob, &alice).await, Standing::Accepted(again.attestation));
    assert_eq!(shown(&alice, &bob, "by the first").await, [Shown::Connection]);

    // Another installation has them out of the journal and the conversation.
    bob.sync().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let second = client(&world, BOB, home.path()).await;
    second.restore_identity().await.unwrap();
    second.sync().await.unwrap();
    let revoked = second.revoke(alice.account()).await.unwrap();
    assert_eq!((revoked.revoked, revoked.policy.signed.policy().revoked_attestations.len()), (2, 2));
    let paid = shown(&alice, &bob, "for a stamp").await;
    assert!(matches!(paid[..], [Shown::Stamp { .. }]), "{paid:?}");

    // The first one had another quota, and other terms than the third: all are named.
    for quota in [1, 3] {
        bob.accept(alice.account(), Terms { quota, ..Terms::default() }).await.unwrap();
        alice.relations().await.unwrap();
    }
    assert_eq!(shown(&alice, &bob, "a second chance").await, [Shown::Connection]);
    let blocked = bob.block(alice.account()).await.unwrap();
    assert_eq!((blocked.tags, blocked.revoked, blocked.left_out), (1, 2, 0));
    assert_eq!(blocked.policy.unwrap().signed.policy().revoked_attestations.len(), 4);
    let again = bob.block(alice.account()).await.unwrap();
    assert_eq!((again.tags, again.revoked, again.policy), (0, 0, None), "nothing is left to name");
    drop(carol);
}

#[tokio::test]
async fn block_that_was_cut_short_revokes_when_it_is_said_again() {
    let world = World::start().await;
    let People { alice, bob, carol, homes } = people(&world).await;
    for to in [&bob, &carol] {
        shown(&alice, to, "a letter").await;
        to.accept(alice.account(), Terms::default()).await.unwrap();
    }
    alice.relations().await.unwrap();
    let nobody = bob.account();
    drop((bob, carol));
    for (person, name) in [(BOB, "Bob"), (CAROL, "Carol")] {
        let home = homes[person - 1].path();
        let dies = client_that(&world, person, home, |step| {
            assert!(step != Step::Publishing, "the process dies here, and the test knows");
        });
        let dies = dies.await;
        AssertUnwindSafe(dies.block(alice.account())).catch_unwind().await.unwrap_err();
        assert_eq!(standing(&dies, &alice).await, Standing::Blocked);
        drop(dies);
        let again = client(&world, person, home).await;
        assert_eq!(shown(&alice, &again, "nodes know nothing yet").await, [Shown::Connection], "{name}");
        if person == CAROL {
            // Whoever else is blocked, what was left undone is done with it.
            let policy = again.block(nobody).await.unwrap().policy.unwrap();
            assert_eq!(policy.signed.policy().revoked_attestations.len(), 1);
        }
        let blocked = again.block(alice.account()).await.unwrap();
        assert_eq!((blocked.tags, blocked.revoked), (1, usize::from(person == BOB)), "{name}");
        let refused = alice.send(&again.account().to_string(), "please").await.unwrap_err();
        assert!(matches!(refused, SendError::NoPass(_)), "{name}: {refused}");
    }
}

/// A policy counts under the keys that signed it only. So whoever replaces keys signs what stands anew, wherever it is cut short.
#[tokio::test]
async fn replaced_keys_go_on_to_ask_and_to_block() {
    let world = World::start().await;
    let People { alice, bob, carol, homes: _homes } = people(&world).await;
    shown(&alice, &bob, "Dear Bob").await;
    bob.accept(alice.account(), Terms::default()).await.unwrap();
    let blocked = bob.block(alice.account()).await.unwrap().policy.unwrap().signed.policy().clone();
    assert_eq!((blocked.blocked_tags.len(), blocked.revoked_attestations.len()), (1, 1));

    let home = tempfile::tempdir().unwrap();
    // The bundle is out, and the process dies with the policy at hand; then it is, too, and the vault at hand.
    for published in [1, 1] {
        let seen = AtomicUsize::new(0);
        let dies = client_that(&world, BOB, home.path(), move |step| {
            let is_done = step == Step::Publishing && seen.fetch_add(1, Ordering::Relaxed) == published;
            assert!(!is_done, "the process dies here, and the test knows");
        });
        AssertUnwindSafe(dies.await.replace_identity()).catch_unwind().await.unwrap_err();
    }
    let fresh = client(&world, BOB, home.path()).await;
    let taken_over = fresh.replace_identity().await.unwrap().policy.unwrap();
    let policy = fresh.policy(bob.account()).await.unwrap().unwrap();
    assert_eq!(&policy, taken_over.signed.policy());
    assert_eq!((&policy.requirement, &policy.blocked_tags), (&blocked.requirement, &blocked.blocked_tags));
    assert!(policy.revoked_attestations.is_empty(), "nothing counts that the old keys vouched for");
    assert_eq!(policy.version, 1, "once");

    let refused = alice.send(&bob.account().to_string(), "please").await.unwrap_err();
    assert!(matches!(refused, SendError::NoPass(_)), "{refused}");

    // Whoever forgets to call it again has them with the next change.
    let home = tempfile::tempdir().unwrap();
    let seen = AtomicUsize::new(0);
    let dies = client_that(&world, CAROL, home.path(), move |step| {
        let is_done = step == Step::Publishing && seen.fetch_add(1, Ordering::Relaxed) == 1;
        assert!(!is_done, "the process dies here, and the test knows");
    });
    shown(&alice, &carol, "Dear Carol").await;
    assert_eq!(carol.block(alice.account()).await.unwrap().tags, 1);
    AssertUnwindSafe(dies.await.replace_identity()).catch_unwind().await.unwrap_err();
    let forgets = client(&world, CAROL, home.path()).await;
    let changed = forgets.set_policy("stamp(2, tagged)".parse().unwrap()).await.unwrap();
    assert_eq!(changed.signed.policy().blocked_tags.len(), 1);
}

#[tokio::test]
async fn policy_forgets_what_is_over_and_says_what_it_has_no_room_for() {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let People { alice, bob, carol, homes: _homes } = people(&world).await;
    let a_day = Duration::from_secs(86_400);
    shown(&alice, &bob, "Dear Bob").await;
    bob.accept(alice.account(), Terms { life: a_day, ..Terms::default() }).await.unwrap();
    assert_eq!(bob.revoke(alice.account()).await.unwrap().revoked, 1);
    a_while_passes(&world, 3 * a_day).await;
    let second = bob.accept(alice.account(), Terms::default()).await.unwrap();
    let policy = bob.revoke(alice.account()).await.unwrap().policy.signed.policy().clone();
    assert_eq!(policy.revoked_attestations, [second.attestation.hash()], "the first one is over");

    // As many pseudonyms as there may be, of nobody whose letters are known: hers has no room, and what she holds has.
    let third = bob.accept(alice.account(), Terms::default()).await.unwrap();
    let tags = (0..256_u64).map(|it| FieldElement::from(it).into()).collect();
    set_names(&mut world, &bob, policy.version + 1, tags, policy.revoked_attestations).await;
    let blocked = bob.block(alice.account()).await.unwrap();
    assert_eq!((blocked.tags, blocked.revoked, blocked.left_out), (0, 1, 1));
    let policy = blocked.policy.unwrap().signed.policy().clone();
    assert!(policy.revoked_attestations.contains(&third.attestation.hash()));

    // As many attestations, and hers forgotten: all three that she ever had have no room, and are not said to be revoked.
    let fourth = bob.accept(alice.account(), Terms::default()).await.unwrap();
    let version = bob.policy(bob.account()).await.unwrap().unwrap().version;
    let attestations = (0..=255).map(B256::repeat_byte).collect();
    set_names(&mut world, &bob, version + 1, Vec::new(), attestations).await;
    let refused = bob.revoke(alice.account()).await.unwrap_err();
    assert!(matches!(refused, ConnectionError::Full { missing: 3 }), "{refused}");
    assert_eq!(standing(&bob, &alice).await, Standing::Accepted(fourth.attestation));
    drop(carol);
}

/// Publishes a policy as a client that knows nothing of this one would.
async fn set_names(world: &mut World, of: &Client, version: u64, tags: Vec<Tag>, attestations: Vec<B256>) {
    let identity = of.state().identity().unwrap().unwrap();
    let requirement = "any(connection, stamp(1, tagged))".parse().unwrap();
    let signed = identity.sign_policy(version, requirement, tags, attestations).unwrap();
    let (topic, sent_at) = (Topic::Policy(of.account()), world.clock.now());
    let envelope = Envelope { topic, sent_at, ciphertext: signed.to_bytes() };
    let owner = identity.sign_owner(envelope.id(world.network));
    world.publish(Submission::new(envelope, vec![Pass::Owner(owner)]).unwrap()).await.unwrap();
}

async fn a_while_passes(world: &World, time: Duration) {
    world.clock.set(world.clock.now().saturating_add(time));
    world.node.as_ref().unwrap().chain().wait_for(|view| view.as_of() >= Some(world.clock.now())).await.unwrap();
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
