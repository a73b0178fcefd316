use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::journal::{Entry, View};

const ISSUE_SECONDS: u64 = 7_889_400;
const STAMPS: u32 = 100;
const OWNER: u8 = 1;
const BOOK: BookId = BookId { installation: InstallationId::numbered(OWNER), counter: 0 };

fn issue(number: u64) -> Timestamp {
    Timestamp::from_secs(number * ISSUE_SECONDS + 1)
}

fn known(issue: u32, index: u32) -> KnownBook {
    KnownBook {
        id: BOOK,
        denomination: 5.try_into().unwrap(),
        count: Limit::new(STAMPS).unwrap(),
        bought: Bought { issue: Issue(issue), position: Position { volume: 0, index } },
    }
}

fn run(installation: u8, session: u8, start: u16, count: u16) -> Run {
    let (installation, session) = (InstallationId::numbered(installation), SessionId::numbered(session));
    Run { installation, session, book: BOOK, start, count }
}

/// What the journal says after these runs were asked for: which were granted, and what is left.
fn check(runs: &[Run], granted: &[bool], unused: Range<u32>) -> Books {
    let mut books = Books::default();
    books.tell(&known(9, 0), issue(9), ISSUE_SECONDS);
    let got: Vec<bool> = runs.iter().map(|run| books.reserve(run).is_some()).collect();
    assert_eq!((got.as_slice(), books.unused(BOOK)), (granted, Some(unused)), "{runs:?}");
    books
}

#[test]
fn run_is_granted_only_where_the_book_has_come_to() {
    let runs = [run(1, 1, 0, 16), run(1, 2, 0, 16), run(1, 2, 16, 16), run(1, 1, 33, 1), run(1, 1, 32, 0)];
    check(&runs, &[true, false, true, false, false], 32..100);
}

#[test]
fn who_took_a_book_over_comes_from_the_other_end() {
    let runs = [run(2, 1, 84, 16), run(2, 2, 84, 16), run(1, 3, 84, 16), run(2, 3, 0, 16), run(3, 4, 68, 16)];
    check(&runs, &[true, false, false, false, true], 0..68);
}

#[test]
fn ends_meet_and_never_cross() {
    let runs =
        [run(1, 1, 0, 60), run(2, 2, 59, 41), run(2, 2, 61, 39), run(1, 1, 60, 2), run(1, 1, 60, 1), run(1, 1, 61, 1)];
    check(&runs, &[true, false, true, false, true, false], 61..61);
}

#[test]
fn runs_of_a_book_that_was_not_told_of_count_for_nothing() {
    let mut books = Books::default();
    assert_eq!((books.reserve(&run(1, 1, 0, 16)), books.unused(BOOK)), (None, None));
}

#[test]
fn rest_goes_back_from_the_last_session_at_an_end_and_from_nobody_else() {
    let runs = [run(1, 1, 0, 16), run(2, 2, 84, 16)];
    for (rest, unused) in [
        (run(1, 1, 5, 11), 5..84),
        (run(1, 1, 0, 16), 0..84),
        (run(2, 2, 84, 9), 16..93),
        // Another session's, also of the same installation; the middle of it; what it never had; beyond what it had.
        (run(1, 2, 5, 11), 16..84),
        (run(1, 1, 5, 10), 16..84),
        (run(1, 1, 16, 1), 16..84),
        (run(2, 1, 84, 9), 16..84),
        (run(2, 2, 85, 9), 16..84),
    ] {
        let mut books = check(&runs, &[true, true], 16..84);
        books.hand_over(&rest);
        assert_eq!(books.unused(BOOK), Some(unused), "{rest:?}");
    }
    // Somebody came after it.
    let mut books = check(&[run(1, 1, 0, 16), run(1, 2, 16, 16)], &[true, true], 32..100);
    books.hand_over(&run(1, 1, 5, 11));
    assert_eq!(books.unused(BOOK), Some(32..100));
    // And what it had before that is not its own any more.
    books.hand_over(&run(1, 2, 0, 32));
    assert_eq!(books.unused(BOOK), Some(32..100));
    books.hand_over(&run(1, 2, 16, 16));
    assert_eq!(books.unused(BOOK), Some(16..100));
    books.hand_over(&run(1, 1, 5, 11));
    assert_eq!(books.unused(BOOK), Some(16..100), "it was the last one no more");
}

#[test]
fn runs_that_follow_each_other_go_back_as_one() {
    let mut books = check(&[run(1, 1, 0, 16), run(1, 1, 16, 16)], &[true, true], 32..100);
    books.hand_over(&run(1, 1, 7, 25));
    assert_eq!(books.unused(BOOK), Some(7..100));
}

#[test]
fn book_that_is_over_is_dropped_and_stays_so_whatever_a_node_says_of_the_time() {
    let mut books = check(&[run(1, 1, 0, 16)], &[true], 16..100);
    let last = 9 + Issue::VALID_AFTER;
    books.tell(&known(9, 0), issue(last.into()), ISSUE_SECONDS);
    assert_eq!(books.unused(BOOK), Some(16..100), "good to the end of its last issue");
    books.tell(&known(9, 0), issue(u64::from(last) + 1), ISSUE_SECONDS);
    assert_eq!(books.unused(BOOK), None);
    books.tell(&known(9, 0), issue(9), ISSUE_SECONDS);
    assert_eq!(books.unused(BOOK), None, "nothing of it is unused");
    assert!(!books.is_good(&known(9, 0)));
}

#[test]
fn book_moves_with_the_chain_and_keeps_what_was_reserved() {
    let mut books = check(&[run(1, 1, 0, 16)], &[true], 16..100);
    books.tell(&known(9, 7), issue(9), ISSUE_SECONDS);
    assert_eq!((books.get(BOOK), books.unused(BOOK)), (Some(&known(9, 7)), Some(16..100)));
    let other = KnownBook { count: Limit::new(3).unwrap(), ..known(9, 8) };
    books.tell(&other, issue(9), ISSUE_SECONDS);
    assert_eq!((books.get(BOOK), books.unused(BOOK)), (Some(&known(9, 7)), Some(16..100)), "another book");
}

#[test]
fn next_run_begins_behind_all_that_is_known_to_be_used() {
    for (installation, unused, taken, count, expected) in [
        (OWNER, 0..100, 0, 16, Some((0, 16))),
        (OWNER, 32..100, 20, 16, Some((32, 16))),
        // The record here is ahead of the journal: what it used is reserved with the rest.
        (OWNER, 0..100, 20, 16, Some((0, 36))),
        (OWNER, 90..100, 0, 16, Some((90, 10))),
        (OWNER, 90..95, 95, 1, None),
        (OWNER, 50..50, 0, 1, None),
        (2, 0..100, 0, 16, Some((84, 16))),
        (2, 0..100, 20, 16, Some((64, 36))),
        (2, 90..100, 0, 16, Some((90, 10))),
        (2, 95..100, 5, 1, None),
    ] {
        let run = Session::numbered(1).run_to_reserve(
            InstallationId::numbered(installation),
            &known(9, 0),
            unused.clone(),
            taken,
            count,
        );
        assert_eq!(run.map(|run| (run.start, run.count)), expected, "{installation}, {unused:?}, {taken}, {count}");
    }
}

#[test]
fn what_was_used_when_there_was_no_journal_is_reserved_and_nothing_else() {
    let used = |installation, unused, taken| {
        Session::numbered(1).run_of_used(InstallationId::numbered(installation), &known(9, 0), unused, taken)
    };
    for (unused, taken, expected) in [
        (0..100, 3, Some(run(OWNER, 1, 0, 3))),
        (2..100, 3, Some(run(OWNER, 1, 2, 1))),
        (0..100, 100, Some(run(OWNER, 1, 0, 100))),
        (0..2, 3, Some(run(OWNER, 1, 0, 2))),
        // The journal knows.
        (0..100, 0, None),
        (3..100, 3, None),
        (16..100, 3, None),
        (100..100, 100, None),
    ] {
        assert_eq!(used(OWNER, unused.clone(), taken), expected, "{taken} are used, {unused:?} not reserved");
    }
    assert_eq!(used(2, 0..100, 3), None, "from the other end nothing is used without a journal");
}

#[test]
fn stamps_are_set_aside_all_or_none_and_from_the_own_end() {
    let mut books = check(&[], &[], 0..100);
    for (installation, expected) in [(OWNER, [0, 1, 2]), (2, [99, 98, 97])] {
        let mut session = Session::numbered(installation);
        let run = run(installation, installation, if installation == OWNER { 0 } else { 97 }, 3);
        session.receive(books.reserve(&run).unwrap(), &known(9, 0), 0);
        assert!(session.set_aside(&[BOOK; 4]).is_none());
        let stamps = session.set_aside(&[BOOK; 3]).unwrap();
        assert_eq!(stamps.iter().map(|it| it.stamp().index.get()).collect::<Vec<_>>(), expected);
        assert!(session.set_aside(&[BOOK]).is_none());
        assert_eq!(session.give_up(), []);
    }
}

#[test]
fn grant_of_another_session_is_nobodys_here() {
    let mut books = check(&[], &[], 0..100);
    let mut session = Session::numbered(2);
    session.receive(books.reserve(&run(1, 1, 0, 16)).unwrap(), &known(9, 0), 0);
    assert_eq!(session.at_hand(BOOK), 0);
}

/// A state folder, and the program that has it open.
struct Client {
    disk: Disk,
    session: Session,
    saved: Disk,
}

#[derive(Clone)]
struct Disk {
    id: InstallationId,
    view: View,
    read: usize,
    taken: u32,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Read,
    Ask(u32),
    Use,
    /// The session ends in order.
    Close,
    /// It does not.
    Crash,
    Save,
    Restore,
    /// A second machine goes on with a copy of the folder.
    Copy,
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed)>> {
    let deed = prop_oneof![
        6 => Just(Deed::Read),
        5 => (1..20_u32).prop_map(Deed::Ask),
        8 => Just(Deed::Use),
        2 => Just(Deed::Close),
        1 => Just(Deed::Crash),
        1 => Just(Deed::Save),
        1 => Just(Deed::Restore),
        1 => Just(Deed::Copy),
    ];
    proptest::collection::vec((any::<usize>(), deed), 0..400)
}

impl Client {
    fn open(disk: Disk, sessions: &mut u8) -> Self {
        *sessions += 1;
        Self { session: Session::numbered(*sessions), saved: disk.clone(), disk }
    }

    fn read(&mut self, log: &[Entry]) {
        for entry in &log[self.disk.read..] {
            if let Some(grant) = self.disk.view.apply(entry, issue(9), ISSUE_SECONDS) {
                self.session.receive(grant, &known(9, 0), self.disk.taken);
            }
        }
        self.disk.read = log.len();
    }
}

proptest! {
    #[test]
    fn no_stamp_is_ever_used_for_two_envelopes(deeds in deeds(), count in 1..4_u8) {
        let mut sessions = 0;
        let disk = |id| Disk { id: InstallationId::numbered(id), view: View::default(), read: 0, taken: 0 };
        let mut clients: Vec<_> = (1..=count).map(|id| Client::open(disk(id), &mut sessions)).collect();
        let mut log = vec![Entry::Book(known(9, 0))];
        let mut used = HashSet::new();
        for (who, deed) in deeds {
            let (who, clients_now) = (who % clients.len(), clients.len());
            if sessions == u8::MAX {
                break;
            }
            let client = &mut clients[who];
            match deed {
                Deed::Read => client.read(&log),
                // On the ground of what was read, which may be long ago.
                Deed::Ask(count) => {
                    let unused = client.disk.view.books().unused(BOOK).unwrap_or(0..STAMPS);
                    let (id, taken) = (client.disk.id, client.disk.taken);
                    log.extend(client.session.run_to_reserve(id, &known(9, 0), unused, taken, count).map(Entry::Run));
                }
                Deed::Use => for stamp in client.session.set_aside(&[BOOK]).into_iter().flatten() {
                    let index = u32::from(stamp.stamp().index.get());
                    prop_assert!(index < STAMPS && used.insert(index), "index {index}");
                    let taken = if client.disk.id == BOOK.installation { index + 1 } else { STAMPS - index };
                    client.disk.taken = client.disk.taken.max(taken);
                },
                Deed::Close => {
                    log.extend(client.session.give_up().into_iter().map(Entry::HandOver));
                    *client = Client { saved: client.saved.clone(), ..Client::open(client.disk.clone(), &mut sessions) };
                }
                Deed::Crash => {
                    *client = Client { saved: client.saved.clone(), ..Client::open(client.disk.clone(), &mut sessions) };
                }
                Deed::Save => client.saved = client.disk.clone(),
                Deed::Restore => *client = Client::open(client.saved.clone(), &mut sessions),
                Deed::Copy if clients_now < 6 => {
                    let copy = Client::open(client.disk.clone(), &mut sessions);
                    clients.push(copy);
                }
                Deed::Copy => {}
            }
        }
        // Two that have read as far agree, and what is on disk says the same.
        let mut all = View::default();
        for entry in &log {
            all.apply(entry, issue(9), ISSUE_SECONDS);
        }
        for client in &mut clients {
            client.read(&log);
            prop_assert_eq!(&client.disk.view, &all);
        }
        prop_assert_eq!(View::from_bytes(&all.to_bytes()), Ok(all));
    }
}
