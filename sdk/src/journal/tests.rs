use alloy::primitives::{B256, hex};
use proptest::prelude::*;
use xmtp_proto::derive::Issue;
use xmtp_proto::opening::{MAX_LIFE, MAX_QUOTA};
use xmtp_prover::Position;

use super::*;
use crate::state::{BookId, Bought};
use crate::testing::{ALICE, BOB, identity, now};

const LIMIT: u32 = 64;
const ISSUE_SECONDS: u64 = 7_889_400;

fn installation(which: u8) -> InstallationId {
    InstallationId::numbered(which)
}

fn claim(who: u8, slot: u16, epoch: u64) -> Entry {
    Entry::Claim { installation: installation(who), slot, epoch: Epoch(epoch) }
}

fn opening_index(epoch: u64, index: u16) -> IndexName {
    IndexName::new(Purpose::Opening, Epoch(epoch), Index::new(index))
}

fn reservation(who: u8, epoch: u64, index: u16, envelope: u8) -> Entry {
    let envelope = EnvelopeId(B256::repeat_byte(envelope));
    Entry::Reservation { installation: installation(who), index: opening_index(epoch, index), envelope }
}

/// Noon.
fn day(epoch: u64) -> Timestamp {
    Timestamp::from_secs(epoch * 86_400 + 43_200)
}

fn view(entries: &[(Entry, u64)]) -> View {
    let mut view = View::default();
    for (entry, epoch) in entries {
        view.apply(entry, day(*epoch), ISSUE_SECONDS);
    }
    view
}

fn slot(view: &View, who: u8, epoch: u64) -> Option<u16> {
    view.slot(installation(who), Epoch(epoch))
}

#[test]
fn first_in_log_order_has_the_slot() {
    let view = view(&[(claim(1, 0, 9), 9), (claim(2, 0, 9), 9), (claim(2, 1, 9), 9)]);
    assert_eq!([1, 2, 3].map(|who| slot(&view, who, 9)), [Some(0), Some(1), None]);
    assert_eq!(view.slot_to_claim(installation(3), Epoch(9)), Some(2));
}

#[test]
fn slot_is_used_only_in_an_epoch_it_was_claimed_for() {
    let mut view = view(&[(claim(1, 3, 9), 9)]);
    assert_eq!((slot(&view, 1, 9), slot(&view, 1, 10)), (Some(3), None));
    assert_eq!(view.slot_to_claim(installation(1), Epoch(10)), Some(3), "its own again");
    view.apply(&claim(1, 3, 10), day(10), ISSUE_SECONDS);
    assert_eq!((slot(&view, 1, 9), slot(&view, 1, 10)), (None, Some(3)));
}

#[test]
fn slot_is_taken_over_after_two_silent_epochs_and_no_sooner() {
    for (epoch, taken) in [(9, false), (10, false), (11, false), (12, true)] {
        let view = view(&[(claim(1, 0, 9), 9), (claim(2, 0, epoch), epoch)]);
        assert_eq!(slot(&view, 2, epoch), taken.then_some(0), "in epoch {epoch}");
        // The first one cannot use it any more, however old its view is: it must claim it for this epoch first.
        assert_eq!(slot(&view, 1, 9), (!taken).then_some(0));
    }
}

#[test]
fn claim_for_another_time_than_it_came_in_counts_for_nothing() {
    for (entry, accepted) in [(claim(1, 0, 9), 10), (claim(1, 0, 12), 10), (claim(1, SLOTS, 10), 10)] {
        assert_eq!(view(&[(entry, accepted)]), View::default());
    }
}

#[test]
fn installation_has_one_slot() {
    let view = view(&[(claim(1, 0, 9), 9), (claim(1, 1, 9), 9)]);
    assert_eq!(slot(&view, 1, 9), Some(0));
    assert_eq!(view.slot_to_claim(installation(2), Epoch(9)), Some(1));
}

#[test]
fn all_slots_can_be_taken() {
    let entries: Vec<_> = (0..SLOTS).map(|slot| (claim(slot.to_be_bytes()[1], slot, 9), 9)).collect();
    let view = view(&entries);
    assert_eq!(view.slot_to_claim(installation(99), Epoch(9)), None);
    assert_eq!(view.slot_to_claim(installation(99), Epoch(12)), Some(0));
}

#[test]
fn index_belongs_to_the_first_envelope_it_was_reserved_for() {
    let claims = [(claim(1, 1, 9), 9), (claim(2, 2, 9), 9)];
    let mut view = view(&claims);
    let index_of = |view: &View, envelope: u8| {
        let envelope = EnvelopeId(B256::repeat_byte(envelope));
        view.index_of(envelope, Purpose::Opening, Epoch(9)).map(|it| it.index().get())
    };
    for entry in [
        reservation(1, 9, 17, 0xa1),
        // A copy of the same installation.
        reservation(1, 9, 17, 0xa2),
        // Somebody else's slot; no slot at all; another day's.
        reservation(2, 9, 33, 0xb1),
        reservation(3, 9, 3, 0xc1),
        reservation(1, 8, 1, 0xa3),
    ] {
        view.apply(&entry, day(9), ISSUE_SECONDS);
    }
    assert_eq!([0xa1, 0xa2, 0xb1, 0xc1, 0xa3].map(|it| index_of(&view, it)), [Some(17), None, None, None, None]);
    let limit = Limit::new(LIMIT).unwrap();
    let next = |view: &View, slot| view.index_to_reserve(slot, Purpose::Opening, Epoch(9), limit);
    assert_eq!(next(&view, 1), Some(opening_index(9, 1)));
    view.apply(&reservation(1, 9, 1, 0xa4), day(9), ISSUE_SECONDS);
    assert_eq!(next(&view, 1), Some(opening_index(9, 33)));
    let other_purpose = view.index_to_reserve(1, Purpose::Envelope, Epoch(9), limit);
    assert_eq!(other_purpose.map(|it| it.index().get()), Some(1));
}

#[test]
fn index_of_the_journal_is_nobody_elses() {
    let mut view = view(&[(claim(1, 0, 9), 9)]);
    let limit = Limit::new(LIMIT).unwrap();
    let next = |view: &View| view.index_to_reserve(0, Purpose::Opening, Epoch(9), limit).map(|it| it.index().get());
    assert_eq!(next(&view), Some(16));
    view.apply(&reservation(1, 9, 0, 0xa1), day(9), ISSUE_SECONDS);
    assert_eq!(view.index_of(EnvelopeId(B256::repeat_byte(0xa1)), Purpose::Opening, Epoch(9)), None);
    for index in [16, 32, 48] {
        assert_eq!(next(&view), Some(index));
        view.apply(&reservation(1, 9, index, index.to_be_bytes()[1]), day(9), ISSUE_SECONDS);
    }
    assert_eq!(next(&view), None, "used up");
}

#[test]
fn what_is_past_is_forgotten() {
    let mut view = view(&[(claim(1, 1, 9), 9), (reservation(1, 9, 1, 0xa1), 9)]);
    assert_eq!(view.reserved.len(), 1);
    view.apply(&claim(1, 1, 12), day(12), ISSUE_SECONDS);
    view.apply(&reservation(1, 12, 1, 0xa2), day(12), ISSUE_SECONDS);
    assert_eq!(view.reserved.len(), 1);
}

fn stake_reservation(stake: u32, epoch: u64, index: u16, envelope: u8) -> Entry {
    let stake = BookId { installation: installation(1), counter: stake };
    let index = StakeIndex { stake, epoch: Epoch(epoch), index: Index::new(index) };
    Entry::StakeReservation { index, envelope: EnvelopeId(B256::repeat_byte(envelope)) }
}

#[test]
fn index_of_a_stakes_day_belongs_to_the_first_envelope_it_was_reserved_for() {
    let id = |counter| BookId { installation: installation(1), counter };
    let mut view = view(&[
        (stake_reservation(1, 9, 0, 0xa1), 9),
        // A copy of the same installation; another day's; another stake's.
        (stake_reservation(1, 9, 0, 0xa2), 9),
        (stake_reservation(1, 8, 1, 0xa3), 9),
        (stake_reservation(2, 9, 0, 0xb1), 9),
    ]);
    let index_of = |view: &View, stake, envelope: u8| {
        let found = view.stake_index_of(id(stake), Epoch(9), EnvelopeId(B256::repeat_byte(envelope)));
        found.map(|it| it.index.get())
    };
    assert_eq!([0xa1, 0xa2, 0xa3].map(|it| index_of(&view, 1, it)), [Some(0), None, None]);
    assert_eq!(index_of(&view, 2, 0xb1), Some(0));
    let next = |view: &View| {
        let next = view.stake_index_to_reserve(id(1), Epoch(9), Limit::new(3).unwrap());
        next.map(|it| it.index.get())
    };
    // The lowest that is free, whatever was taken above it.
    for (index, envelope, expected) in [(2, 0xa4, Some(1)), (1, 0xa5, None)] {
        view.apply(&stake_reservation(1, 9, index, envelope), day(9), ISSUE_SECONDS);
        assert_eq!(next(&view), expected);
    }
    // From the other end, for who took it over.
    let last = |stake, limit| {
        let last = view.last_stake_index_to_reserve(id(stake), Epoch(9), Limit::new(limit).unwrap());
        last.map(|it| it.index.get())
    };
    assert_eq!([last(1, 3), last(1, 4), last(2, 1), last(2, 2), last(3, 9)], [None, Some(3), None, Some(1), Some(8)]);
    assert_eq!((view.stakes_reserved(id(1), Epoch(9)), view.stakes_reserved(id(2), Epoch(9))), (3, 1));
    assert_eq!(View::from_bytes(&view.to_bytes()), Ok(view.clone()));
    view.apply(&stake_reservation(1, 12, 0, 0xa6), day(12), ISSUE_SECONDS);
    assert_eq!(view.stakes.len(), 1, "what is past is forgotten");
}

#[test]
fn entries_are_read_as_they_were_written_and_later_ones_are_passed_over() {
    let id = BookId { installation: installation(7), counter: 1 };
    let book = KnownBook {
        id,
        denomination: 5.try_into().unwrap(),
        count: Limit::new(100).unwrap(),
        bought: Bought { issue: Issue(227), position: Position { volume: 1, index: 9 } },
    };
    let run = Run { installation: installation(2), session: SessionId::numbered(3), book: id, start: 84, count: 16 };
    for (entry, hex) in [
        (claim(1, 3, 9), "0101 01010101010101010101010101010101 0003 0000000000000009".to_owned()),
        (
            reservation(1, 9, 17, 0xa1),
            format!("0102 01010101010101010101010101010101 0000000000000009 01 0011 {}", "a1".repeat(32)),
        ),
        (
            Entry::Book(book),
            "0104 07070707070707070707070707070707 00000001 00000005 00000064 000000e3 00000001 00000009".to_owned(),
        ),
        (
            Entry::Run(run),
            "0105 02020202020202020202020202020202 03030303030303030303030303030303 \
             07070707070707070707070707070707 00000001 0054 0010"
                .to_owned(),
        ),
        (
            stake_reservation(2, 9, 17, 0xa1),
            format!("0107 01010101010101010101010101010101 00000002 0000000000000009 0011 {}", "a1".repeat(32)),
        ),
        (
            Entry::Stake(KnownStake { id, tier: 2, limit: Limit::new(100).unwrap() }),
            "0109 07070707070707070707070707070707 00000001 00000002 00000064".to_owned(),
        ),
        (
            Entry::HandOver(run),
            "0106 02020202020202020202020202020202 03030303030303030303030303030303 \
             07070707070707070707070707070707 00000001 0054 0010"
                .to_owned(),
        ),
    ] {
        let bytes = entry.to_secret_bytes();
        assert_eq!(hex::encode(&bytes), hex.replace(' ', ""));
        let again = Entry::from_secret_bytes(&bytes).unwrap().unwrap();
        assert_eq!(again.to_secret_bytes(), bytes);
        assert!(Entry::from_secret_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Entry::from_secret_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
    assert!(Entry::from_secret_bytes(&[VERSION + 1, 1]).unwrap().is_none());
    assert!(Entry::from_secret_bytes(&[VERSION, 200, 7]).unwrap().is_none());
    assert!(Entry::from_secret_bytes(&[]).is_err());
}

#[tokio::test]
async fn every_installation_makes_the_same_opening_on_a_day() {
    let opening = |identity: &Identity, now| channel(identity).opening(opening_time(now), MAX_QUOTA).unwrap();
    let (mut alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let morning = Timestamp::from_secs(now().epoch().0 * 86_400 + 1);
    let first = opening(&alice, morning);
    assert_eq!(first.sent_at, now().epoch().starts_at());
    assert_eq!(first.ciphertext[36..44], (first.sent_at.as_secs() + MAX_LIFE.as_secs()).to_be_bytes());
    let evening = Timestamp::from_secs(morning.as_secs() + 86_390);
    assert_eq!(evening.epoch(), morning.epoch());
    assert_eq!(opening(&alice, evening), first);
    // A prekey that was rotated changes the bundle, not the journal.
    alice.rotate_prekey(evening).unwrap();
    assert_eq!(opening(&alice, evening), first);
    assert_ne!(opening(&bob, evening).topic, first.topic);
    assert_ne!(opening(&alice, Timestamp::from_secs(morning.as_secs() + 86_400)), first);
}

#[tokio::test]
async fn own_entries_are_read_by_the_own_account_alone() {
    let (mut alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let entry = claim(1, 3, 9).to_secret_bytes();
    let envelope = channel(&alice).seal(&alice, now(), &entry).unwrap();
    alice.rotate_prekey(now()).unwrap();
    assert_eq!(channel(&alice).open(&envelope).ok().unwrap().content, entry);
    assert!(channel(&bob).open(&envelope).is_err());
    assert!(channel(&alice).seal(&bob, now(), &entry).is_err());
}

/// One of several clients of an account, as far as it has read.
#[derive(Clone)]
struct Client {
    id: InstallationId,
    view: View,
    read: usize,
    /// Envelopes that it wants to show.
    wanted: Vec<(EnvelopeId, Epoch)>,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Read,
    Claim,
    Want,
    Use,
    /// The folder is saved, or put back as it was when it was saved.
    Save,
    Restore,
    /// A second machine goes on with a copy of the folder.
    Copy,
    Tomorrow,
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed)>> {
    let deed = prop_oneof![
        6 => Just(Deed::Read),
        3 => Just(Deed::Claim),
        6 => Just(Deed::Want),
        6 => Just(Deed::Use),
        1 => Just(Deed::Save),
        1 => Just(Deed::Restore),
        1 => Just(Deed::Copy),
        1 => Just(Deed::Tomorrow),
    ];
    proptest::collection::vec((any::<usize>(), deed), 0..300)
}

proptest! {
    #[test]
    fn no_index_is_ever_used_for_two_envelopes(deeds in deeds(), count in 1..5_u8) {
        let new = |id| Client { id: installation(id), view: View::default(), read: 0, wanted: Vec::new() };
        let mut clients: Vec<_> = (0..count).map(new).collect();
        let mut saved = clients.clone();
        let mut log: Vec<(Entry, Timestamp)> = Vec::new();
        let mut used: BTreeMap<IndexName, EnvelopeId> = BTreeMap::new();
        let (mut today, mut envelopes) = (Epoch(100), 0_u64);
        let limit = Limit::new(LIMIT).unwrap();
        for (who, deed) in deeds {
            let (who, clients_now) = (who % clients.len(), clients.len());
            let client = &mut clients[who];
            match deed {
                Deed::Read => {
                    for (entry, at) in &log[client.read..] {
                        client.view.apply(entry, *at, ISSUE_SECONDS);
                    }
                    client.read = log.len();
                }
                // What is written rests on what was read, which may be long ago.
                Deed::Claim => {
                    if let Some(slot) = client.view.slot_to_claim(client.id, today) {
                        log.push((Entry::Claim { installation: client.id, slot, epoch: today }, day(today.0)));
                    }
                }
                Deed::Want => {
                    let slot = client.view.slot(client.id, today);
                    let free = slot.and_then(|slot| client.view.index_to_reserve(slot, Purpose::Opening, today, limit));
                    if let Some(index) = free {
                        envelopes += 1;
                        let envelope = EnvelopeId(B256::left_padding_from(&envelopes.to_be_bytes()));
                        client.wanted.push((envelope, today));
                        log.push((Entry::Reservation { installation: client.id, index, envelope }, day(today.0)));
                    }
                }
                Deed::Use => {
                    for (envelope, epoch) in &client.wanted {
                        if let Some(index) = client.view.index_of(*envelope, Purpose::Opening, *epoch) {
                            let before = *used.entry(index).or_insert(*envelope);
                            prop_assert_eq!(before, *envelope, "index {:?}", index);
                            prop_assert_ne!(index.index(), JOURNAL_INDEX);
                        }
                    }
                }
                Deed::Save => saved[who] = client.clone(),
                Deed::Restore => *client = saved[who].clone(),
                Deed::Copy if clients_now < 8 => {
                    let copy = client.clone();
                    saved.push(copy.clone());
                    clients.push(copy);
                }
                Deed::Copy => {}
                Deed::Tomorrow => today.0 += 1,
            }
        }
        // What is on disk says the same.
        for client in &clients {
            prop_assert_eq!(View::from_bytes(&client.view.to_bytes()), Ok(client.view.clone()));
        }
        // And two that have read as far agree.
        let mut all = View::default();
        for (entry, at) in &log {
            all.apply(entry, *at, ISSUE_SECONDS);
        }
        for client in clients.iter_mut() {
            for (entry, at) in &log[client.read..] {
                client.view.apply(entry, *at, ISSUE_SECONDS);
            }
            prop_assert_eq!(&client.view, &all);
        }
    }

    #[test]
    fn no_bytes_break_a_reader_of_the_journal(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..8_u8) {
        let view = View::from_bytes(&bytes);
        if let Ok(view) = view {
            prop_assert_eq!(View::from_bytes(&view.to_bytes()), Ok(view));
        }
        if let [version, second, ..] = bytes.as_mut_slice() {
            (*version, *second) = (VERSION, kind);
        }
        if let Ok(Some(entry)) = Entry::from_secret_bytes(&bytes) {
            prop_assert_eq!(entry.to_secret_bytes().to_vec(), bytes);
        }
    }
}
