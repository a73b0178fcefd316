use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy::primitives::{B256, hex};
use tempfile::TempDir;
use xmtp_proto::attestation::Attestation;
use xmtp_proto::derive::{ClaimId, Denomination, EnvelopeId, Issue, OperatorId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::Commitment;
use xmtp_proto::postmark::{Cursor, Postmark, SignedPostmark};
use xmtp_proto::refusal::Code;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::{MAX_STAMPS, Submission};
use xmtp_proto::time::{MAX_AGE_FRANKED, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Index, Limit, Position};

use super::*;
use crate::content::Content;
use crate::identity::VerifiedBundle;
use crate::invite::{Invitation, open_invite, seal_invite};
use crate::journal::{Entry, GrantedStamp, IndexName, KnownBook, Session, View};
use crate::layout::Reader;
use crate::testing::{
    ALICE, BOB, MALLORY, NETWORK, NeverTheSame, OTHER_NETWORK, Person, identity, identity_on, now, wallet,
};

async fn open(base: &TempDir, person: Person) -> State {
    State::open(base.path(), NETWORK, &wallet(person), || panic!("nobody else has it"))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A state in a folder that goes away with it.
async fn state() -> (State, TempDir) {
    let base = tempfile::tempdir().unwrap();
    (open(&base, ALICE).await, base)
}

/// What a process finds that starts after this one was killed: the files as they are now, in a folder of their own.
async fn after_a_kill(state: State) -> (State, TempDir) {
    let base = tempfile::tempdir().unwrap();
    let folder = folder::private(base.path(), state.network(), state.account()).unwrap();
    fs::copy(state.folder().join("state.redb"), folder.join("state.redb")).unwrap();
    drop(state);
    let wallet = wallet(ALICE);
    (State::open(base.path(), NETWORK, &wallet, || ()).await.unwrap_or_else(|error| panic!("{error}")), base)
}

fn refusal<T, E: std::fmt::Debug>(result: Result<T, E>) -> String {
    format!("{:?}", result.err())
}

fn units(units: u32) -> Denomination {
    units.try_into().unwrap()
}

const PLACE: Bought = Bought { issue: Issue(227), position: Position { volume: 0, index: 5 } };

async fn book(state: &State, stamps: u32) -> Book {
    let book = state.intend_book(&identity(ALICE).await, units(5), Limit::new(stamps).unwrap()).unwrap();
    state.record_purchase(book.id, Purchase::Bought(PLACE)).unwrap()
}

async fn letter(text: &str) -> (Letter, Envelope) {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await.verified_bundle());
    let invitation = Invitation::new(Content::text(text).ok()).unwrap();
    let envelope = seal_invite(&alice, &bob, now(), &invitation).unwrap();
    (Letter::sent(&alice, &bob, &envelope, invitation), envelope)
}

/// Stamps of these books, by the record alone.
fn unshared(books: &[BookId]) -> Vec<Supply> {
    books.iter().copied().map(Supply::Unshared).collect()
}

/// A stamp as if the journal had granted it.
fn granted(book: BookId, index: u16) -> Supply {
    Supply::Granted(GrantedStamp::made_up(StampUse { book, index: Index::new(index) }))
}

fn postmark(envelope: EnvelopeId) -> SignedPostmark {
    let postmark = Postmark {
        network: NETWORK,
        operator: Default::default(),
        cursor: Cursor(9),
        envelope,
        accepted_at: now(),
        cancelled: B256::repeat_byte(1),
    };
    SignedPostmark { postmark, signature: [2; 65] }
}

#[tokio::test]
async fn identity_is_there_after_a_restart() {
    let (state, base) = state().await;
    assert!(state.identity().unwrap().is_none());
    let alice = identity(ALICE).await;
    state.save_identity(&alice).unwrap();
    let installation = state.installation();
    drop(state);

    let state = open(&base, ALICE).await;
    assert_eq!(state.identity().unwrap().map(|it| it.bundle()), Some(alice.bundle()));
    assert_eq!(state.installation(), installation);
}

#[tokio::test]
async fn every_network_and_account_has_a_state_of_its_own() {
    let base = tempfile::tempdir().unwrap();
    let alice = open(&base, ALICE).await;
    alice.save_identity(&identity(ALICE).await).unwrap();
    // All at the same time: none waits for another.
    let bob = open(&base, BOB).await;
    let elsewhere = State::open(base.path(), OTHER_NETWORK, &wallet(ALICE), || panic!("it waited")).await.ok().unwrap();
    for other in [&bob, &elsewhere] {
        assert!(other.identity().unwrap().is_none());
        assert_ne!(other.installation(), alice.installation());
        assert_ne!(other.folder(), alice.folder());
    }
    for identity in [identity(ALICE).await, identity_on(OTHER_NETWORK, BOB).await] {
        assert_eq!(refusal(bob.save_identity(&identity)), "Some(OtherAccount)");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (state, base) = state().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = state.folder().to_owned();
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(folder.parent().unwrap()), 0o700);
    for file in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    drop(state);

    for loose in [0o750, 0o701, 0o777] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(loose)).unwrap();
        let refused = State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await.err().unwrap();
        assert!(matches!(refused, StateError::Permissions { mode, .. } if mode == loose), "{refused}");
        assert!(refused.to_string().contains("chmod 700"), "{refused}");
    }
}

#[tokio::test]
async fn second_process_waits_until_the_first_is_done() {
    let (first, base) = state().await;
    let noticed = Arc::new(AtomicUsize::new(0));
    let (told, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let second = {
        let (noticed, path) = (Arc::clone(&noticed), base.path().to_owned());
        async move {
            State::open(&path, NETWORK, &wallet(ALICE), || {
                noticed.fetch_add(1, Ordering::SeqCst);
                let _ = told.send(());
            })
            .await
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(second);
    waiting.recv().await.unwrap();
    assert!(tasks.try_join_next().is_none(), "it got in while the first was there");
    first.save_identity(&identity(ALICE).await).unwrap();
    drop(first);

    let second = tasks.join_next().await.unwrap().unwrap().unwrap_or_else(|error| panic!("{error}"));
    assert!(second.identity().unwrap().is_some(), "it sees what the first wrote");
    assert_eq!(noticed.load(Ordering::SeqCst), 1, "it says so once");
}

#[tokio::test]
async fn state_opens_with_no_other_wallet() {
    let (state, base) = state().await;
    let folder = state.folder().to_owned();
    drop(state);
    let of_bob = open(&base, BOB).await.folder().to_owned();
    fs::copy(folder.join("state.redb"), of_bob.join("state.redb")).unwrap();
    assert_eq!(refusal(State::open(base.path(), NETWORK, &wallet(BOB), || ()).await), "Some(WrongKey)");
    assert!(State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await.is_ok());
}

#[tokio::test]
async fn wallet_that_signs_in_several_ways_gets_no_state() {
    let base = tempfile::tempdir().unwrap();
    let wallet_in_several_ways = NeverTheSame::new(wallet(ALICE));
    let refused = State::open(base.path(), NETWORK, &wallet_in_several_ways, || ()).await;
    assert_eq!(refusal(refused), "Some(Wallet(NotRepeatable))");
    // Nothing was written: a better wallet begins anew.
    assert!(open(&base, ALICE).await.identity().unwrap().is_none());
}

#[tokio::test]
async fn state_of_a_later_format_is_left_alone() {
    let (state, base) = state().await;
    state.store.set_format(store::FORMAT + 1);
    drop(state);
    let refused = State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await;
    assert_eq!(refusal(refused), "Some(Format { got: 5, known: 4 })");
}

#[tokio::test]
async fn file_that_is_no_database_is_refused() {
    let (state, base) = state().await;
    let folder = state.folder().to_owned();
    drop(state);
    fs::write(folder.join("state.redb"), vec![7; 10_000]).unwrap();
    let refused = State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await;
    assert!(matches!(refused, Err(StateError::Database(_))));
}

#[tokio::test]
async fn no_entry_can_be_put_in_anothers_place() {
    let (state, _base) = state().await;
    let [one, two] = [book(&state, 1).await, book(&state, 2).await];
    assert_eq!(state.books().unwrap(), [one, two]);
    state.store.swap_values(Table::Books);
    assert_eq!(refusal(state.books()), r#"Some(Damaged { table: "books" })"#);
    let taken = state.record_purchase(one.id, Purchase::Bought(PLACE));
    assert!(matches!(taken, Err(BooksError::State(StateError::Damaged { .. }))));
}

#[tokio::test]
async fn nothing_on_disk_says_who_wrote_what_to_whom() {
    let (state, base) = state().await;
    let alice = identity(ALICE).await;
    state.save_identity(&alice).unwrap();
    let book = book(&state, 10).await;
    let (letter, envelope) = letter("meet me at noon").await;
    let (id, material) = (letter.id, letter.invitation.to_secret_bytes()[..32].to_vec());
    state.begin_letter(letter, envelope, &unshared(&[book.id])).unwrap();
    state.remember_bundle(&identity(BOB).await.verified_bundle()).unwrap();
    let topic = Topic::Invite(state.account());
    state.receive(&topic, Cursor(3), &[]).unwrap();
    drop(state);

    let bob = identity(BOB).await;
    let mut files = vec![base.path().to_owned()];
    let mut bytes = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            bytes.extend(fs::read(path).unwrap());
        }
    }
    let found = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(found(b"identity"), "the search finds what is there: the name of a table");
    let secret = alice.to_secret_bytes();
    for (what, part) in [
        ("identity key", [ALICE ^ 1; 32].as_slice()),
        ("agreement key", &[ALICE ^ 2; 32]),
        ("postal seed", &[ALICE ^ 3; 32]),
        ("prekey", &[ALICE ^ 4; 32]),
        ("any of the identity", &secret[69..101]),
        ("key material", &material),
        ("text", b"meet me at noon"),
        ("correspondent", bob.account().address().as_slice()),
        ("correspondent by name", &bob.account().to_string().as_bytes()[9..]),
        ("commitment", book.commitment.as_bytes()),
        ("envelope", id.as_bytes()),
        ("installation", book.id.installation.as_bytes()),
        ("topic", topic.to_string().as_bytes()),
    ] {
        assert!(!found(part), "{what} is on disk in the clear");
    }
}

#[tokio::test]
async fn book_is_known_before_its_transaction_and_found_after_a_crash() {
    let (state, _base) = state().await;
    let alice = identity(ALICE).await;
    let first = state.intend_book(&alice, units(5), Limit::new(100).unwrap()).unwrap();
    assert_eq!((first.purchase, first.taken, first.bought()), (Purchase::Intended, 0, None));
    let secret = alice.postal_seed().book_secret(&first.id.installation, first.id.counter);
    assert_eq!(first.commitment, secret.commitment());

    let (state, _base) = after_a_kill(state).await;
    assert_eq!(state.books().unwrap(), [first]);
    let second = state.intend_book(&alice, units(1), Limit::new(1).unwrap()).unwrap();
    assert_ne!(second.commitment, first.commitment);
    assert_eq!([first.id.counter, second.id.counter], [0, 1]);
    let bought = state.record_purchase(first.id, Purchase::Bought(PLACE)).unwrap();
    assert_eq!((bought.bought(), state.books().unwrap()), (Some(PLACE), vec![bought, second]));

    let bob = identity(BOB).await;
    let refused = state.intend_book(&bob, units(1), Limit::new(1).unwrap());
    assert!(matches!(refused, Err(BooksError::State(StateError::OtherAccount))));
}

#[tokio::test]
async fn purchases_do_not_run_backwards() {
    let (state, _base) = state().await;
    let submitted = Purchase::Submitted { transaction: B256::repeat_byte(1) };
    let replaced = Purchase::Submitted { transaction: B256::repeat_byte(2) };
    let bought = Purchase::Bought(PLACE);
    let moved = Purchase::Bought(Bought { position: Position { volume: 1, index: 0 }, ..PLACE });
    for (from, to, allowed) in [
        (Purchase::Intended, submitted, true),
        (Purchase::Intended, Purchase::Failed, true),
        (Purchase::Intended, bought, true),
        (submitted, replaced, true),
        (submitted, Purchase::Failed, true),
        (submitted, bought, true),
        (Purchase::Failed, submitted, true),
        (Purchase::Failed, bought, true),
        (bought, moved, true),
        (bought, Purchase::Intended, true),
        (bought, Purchase::Failed, true),
        (submitted, Purchase::Intended, false),
        (Purchase::Failed, Purchase::Intended, false),
        (bought, submitted, false),
    ] {
        let id = state.intend_book(&identity(ALICE).await, units(1), Limit::MAX).unwrap().id;
        state.record_purchase(id, from).unwrap();
        let recorded = state.record_purchase(id, to);
        assert_eq!(recorded.is_ok(), allowed, "{from:?} to {to:?}");
        let now = state.books().unwrap().pop().unwrap().purchase;
        assert_eq!(now, if allowed { to } else { from });
    }
    let unknown = BookId { installation: [9; 16].into(), counter: 0 };
    assert!(matches!(state.record_purchase(unknown, bought), Err(BooksError::Unknown(_))));
}

#[tokio::test]
async fn crash_before_sending_loses_neither_the_envelope_nor_its_stamps() {
    let (state, _base) = state().await;
    let [one, two] = [book(&state, 3).await, book(&state, 3).await];
    let (letter, envelope) = letter("hello").await;
    let id = letter.id;
    let begun = state.begin_letter(letter, envelope.clone(), &unshared(&[one.id, two.id, one.id])).unwrap();
    let stamps =
        [(one.id, 0), (two.id, 0), (one.id, 1)].map(|(book, index)| StampUse { book, index: Index::new(index) });
    assert_eq!(begun.stamps, stamps);
    drop(begun);

    let (state, _base) = after_a_kill(state).await;
    let [found] = <[Outgoing; 1]>::try_from(state.outbox().unwrap()).ok().unwrap();
    assert_eq!((found.envelope, found.stamps.as_slice(), found.delivery), (envelope, &stamps[..], Delivery::Pending));
    assert_eq!((found.letter.id, found.letter.to()), (id, identity(BOB).await.account()));
    assert_eq!(found.letter.invitation.message().and_then(Content::as_text), Some("hello"));
    for stamp in stamps {
        assert_eq!(state.envelope_of(stamp).unwrap(), Some(id));
    }
    assert_eq!(state.books().unwrap().iter().map(|book| book.taken).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn letter_that_is_begun_again_keeps_its_stamps_and_takes_no_more() {
    let (state, _base) = state().await;
    let book = book(&state, 10).await;
    let (first, envelope) = letter("hello").await;
    let again = Letter::from_bytes_of(&first);
    let begun = state.begin_letter(first, envelope.clone(), &unshared(&[book.id])).unwrap();
    let repeated = state.begin_letter(again, envelope, &unshared(&[book.id])).unwrap();
    assert_eq!(repeated.stamps, begun.stamps);
    assert_eq!(state.books().unwrap()[0].taken, 1);
}

#[tokio::test]
async fn no_stamp_goes_with_two_letters() {
    let (state, _base) = state().await;
    let book = book(&state, 2).await;
    let mut stamps = Vec::new();
    for text in ["one", "two"] {
        let (letter, envelope) = letter(text).await;
        stamps.extend(state.begin_letter(letter, envelope, &unshared(&[book.id])).unwrap().stamps);
    }
    assert_eq!(stamps.iter().map(|stamp| stamp.index.get()).collect::<Vec<_>>(), [0, 1]);
    let (letter, envelope) = letter("three").await;
    let refused = state.begin_letter(letter, envelope, &unshared(&[book.id]));
    assert!(matches!(refused, Err(LettersError::Books(BooksError::UsedUp(_)))));

    // A book that went back in time (an older copy of its entry, say) gives no index away a second time.
    state.store.write(|entries| Book { taken: 0, ..book }.put(entries)).unwrap();
    let (letter, envelope) = self::letter("four").await;
    let refused = state.begin_letter(letter, envelope, &unshared(&[book.id]));
    assert!(matches!(refused, Err(LettersError::Books(BooksError::Taken(_)))));
}

#[tokio::test]
async fn stamp_that_the_journal_granted_is_the_one_that_is_taken() {
    let (state, _base) = state().await;
    let book = book(&state, 40).await;
    let taken = async |supply: Supply| {
        let (letter, envelope) = letter("hello").await;
        let begun = state.begin_letter(letter, envelope, &[supply]).map(|begun| begun.stamps[0].index.get());
        begun.map_err(|error| error.to_string())
    };
    assert_eq!(taken(granted(book.id, 16)).await, Ok(16));
    // The node shows a journal in which that was not granted, or in which the book is larger.
    assert!(taken(granted(book.id, 16)).await.unwrap_err().contains("belongs to another envelope"));
    assert!(taken(granted(book.id, 40)).await.unwrap_err().contains("used up"));
    // And one that keeps none: the record goes on behind all that it knows of.
    assert_eq!(taken(Supply::Unshared(book.id)).await, Ok(17));
}

#[tokio::test]
async fn record_alone_goes_on_behind_what_a_journal_reserved_for_anybody() {
    let (state, _base) = state().await;
    let book = book(&state, 20).await;
    let known = KnownBook { id: book.id, denomination: book.denomination, count: book.count, bought: PLACE };
    let mut view = View::default();
    let (mut here, mut there) = (Session::numbered(1), Session::numbered(2));
    view.apply(&Entry::Book(known), now(), u64::MAX);
    for (session, installation, count) in [(&mut here, state.installation(), 16), (&mut there, [9; 16].into(), 3)] {
        let unused = view.books().unused(book.id).unwrap();
        let run = session.run_to_reserve(installation, &known, unused, 0, count).unwrap();
        assert!(view.apply(&Entry::Run(run), now(), u64::MAX).is_some());
    }
    state.read_journal(Cursor(0), (&view, Cursor(3)), &[], &[], &[]).unwrap();
    let (letter, envelope) = letter("hello").await;
    let begun = state.begin_letter(letter, envelope, &unshared(&[book.id])).unwrap();
    assert_eq!(begun.stamps[0].index.get(), 16);
    let (letter, envelope) = self::letter("hello again").await;
    let refused = state.begin_letter(letter, envelope, &unshared(&[book.id]));
    assert!(matches!(refused, Err(LettersError::Books(BooksError::UsedUp(_)))));
}

#[tokio::test]
async fn book_that_was_taken_over_is_used_from_its_end_and_with_a_journal_only() {
    let (state, _base) = state().await;
    let alice = identity(ALICE).await;
    let id = BookId { installation: [9; 16].into(), counter: 4 };
    let known = KnownBook { id, denomination: units(5), count: Limit::new(40).unwrap(), bought: PLACE };
    let book = state.take_over_book(&alice, &known).unwrap();
    assert_eq!(book.commitment, alice.postal_seed().book_secret(&id.installation, 4).commitment());
    for (index, taken) in [(39, 1), (37, 3), (38, 3)] {
        let (letter, envelope) = letter("hello").await;
        state.begin_letter(letter, envelope, &[granted(id, index)]).unwrap();
        assert_eq!(state.book(id).unwrap().unwrap().taken, taken);
    }
    assert_eq!(state.take_over_book(&alice, &known).unwrap().taken, 3, "it stays as it is");
    let (letter, envelope) = letter("hello").await;
    let refused = state.begin_letter(letter, envelope, &unshared(&[id]));
    assert!(matches!(refused, Err(LettersError::Books(BooksError::Shared(_)))));
}

#[test]
fn books_name_is_read_as_it_is_written_and_in_no_other_way() {
    let id = BookId { installation: [0xa1; 16].into(), counter: 12 };
    let text = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1-12";
    assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
    for other in ["", "-", "12", "a1-12", &text.to_uppercase(), &text.replace("-12", "-012"), &text.replace("-12", "")]
    {
        assert_eq!(other.parse::<BookId>(), Err(InvalidBookId), "{other}");
    }
}

#[tokio::test]
async fn last_stamp_of_the_largest_book_can_be_taken() {
    let (state, _base) = state().await;
    let book = book(&state, 1 << 16).await;
    state.store.write(|entries| Book { taken: (1 << 16) - 1, ..book }.put(entries)).unwrap();
    let (letter, envelope) = letter("the last").await;
    let begun = state.begin_letter(letter, envelope, &unshared(&[book.id])).unwrap();
    assert_eq!(begun.stamps[0].index.get(), u16::MAX);
    assert_eq!(state.books().unwrap()[0].taken, 1 << 16);
}

#[tokio::test]
async fn refused_letter_takes_nothing() {
    let (state, _base) = state().await;
    let pending = state.intend_book(&identity(ALICE).await, units(1), Limit::new(9).unwrap()).unwrap();
    let [one, empty] = [book(&state, 9).await, book(&state, 1).await];
    let unknown = BookId { installation: [9; 16].into(), counter: 0 };
    let begin = async |books: &[BookId]| {
        let (letter, envelope) = letter("hello").await;
        let id = letter.id;
        let refused = state.begin_letter(letter, envelope, &unshared(books)).err().unwrap();
        assert!(state.outgoing(id).unwrap().is_none());
        assert_eq!(state.books().unwrap().iter().map(|book| book.taken).sum::<u32>(), 0);
        refused
    };
    assert!(matches!(begin(&[one.id, unknown]).await, LettersError::Books(BooksError::Unknown(id)) if id == unknown));
    assert!(matches!(begin(&[one.id, pending.id]).await, LettersError::Books(BooksError::NotBought(_))));
    assert!(matches!(begin(&[one.id, empty.id, empty.id]).await, LettersError::Books(BooksError::UsedUp(_))));
    let got = MAX_STAMPS + 1;
    assert!(matches!(begin(&vec![one.id; got]).await, LettersError::TooManyStamps { got: 5 }));
}

#[tokio::test]
async fn letter_and_envelope_belong_together() {
    let (state, _base) = state().await;
    let (_, other) = letter("another").await;
    let changes: [fn(&mut Letter); 4] = [
        |letter| letter.inviter = letter.invitee,
        |letter| letter.invitee = letter.inviter,
        |letter| letter.sent_at = Timestamp::default(),
        |letter| letter.id = [0; 32].into(),
    ];
    for change in changes {
        let (mut letter, envelope) = letter("hello").await;
        change(&mut letter);
        assert!(matches!(state.begin_letter(letter, envelope, &[]), Err(LettersError::Misfit)));
    }
    let (letter, envelope) = letter("hello").await;
    assert!(matches!(state.begin_letter(Letter::from_bytes_of(&letter), other, &[]), Err(LettersError::Misfit)));
    assert!(state.begin_letter(letter, envelope, &[]).is_ok());
}

#[tokio::test]
async fn letter_gets_more_stamps_until_it_is_delivered() {
    let (state, base) = state().await;
    let book = book(&state, 10).await;
    let (letter, envelope) = letter("hello").await;
    let id = letter.id;
    state.begin_letter(letter, envelope.clone(), &unshared(&[book.id])).unwrap();
    let refused = Delivery::Refused(Code::RequirementUnmet);
    assert_eq!(state.record_delivery(id, refused).unwrap().delivery, refused);
    let more = state.add_stamps(id, &unshared(&[book.id, book.id])).unwrap();
    assert_eq!(more.stamps.iter().map(|stamp| stamp.index.get()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(more.envelope, envelope, "the bytes stay the same");
    assert!(matches!(
        state.add_stamps(id, &unshared(&[book.id, book.id])),
        Err(LettersError::TooManyStamps { got: 5 })
    ));

    let delivered = Delivery::Delivered(postmark(id));
    state.record_delivery(id, delivered).unwrap();
    state.record_delivery(id, delivered).unwrap();
    assert!(matches!(state.add_stamps(id, &unshared(&[book.id])), Err(LettersError::Delivered(_))));
    assert!(matches!(state.record_delivery(id, refused), Err(LettersError::Delivered(_))));
    assert!(matches!(state.record_delivery(id, Delivery::Pending), Err(LettersError::Delivered(_))));
    let unknown = EnvelopeId::from([1; 32]);
    assert!(matches!(state.record_delivery(unknown, refused), Err(LettersError::Unknown(_))));
    drop(state);
    let found = open(&base, ALICE).await.outgoing(id).unwrap().unwrap();
    assert_eq!((found.delivery, found.stamps.len()), (delivered, 3));
}

#[tokio::test]
async fn received_letter_and_its_cursor_are_kept_together_and_once() {
    let base = tempfile::tempdir().unwrap();
    let state = open(&base, BOB).await;
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let topic = Topic::Invite(bob.account());
    assert_eq!(state.cursor(&topic).unwrap(), Cursor(0));

    let received = |seconds: u64| {
        let sent_at = Timestamp::from_secs(now().as_secs() + seconds);
        let invitation = Invitation::new(Content::text(format!("{seconds}")).ok()).unwrap();
        let envelope = seal_invite(&alice, &bob.verified_bundle(), sent_at, &invitation).unwrap();
        let opened = open_invite(&bob, &envelope).ok().unwrap();
        (Letter::received(&bob, &envelope, opened), Letter::sent(&alice, &bob.verified_bundle(), &envelope, invitation))
    };
    let ((second, _), (first, as_sent)) = (received(2), received(1));
    assert_eq!(first.to_secret_bytes(), as_sent.to_secret_bytes(), "both sides remember the same");
    assert_eq!(first.conversation(NETWORK).topic(), as_sent.conversation(NETWORK).topic());
    let again = Letter::from_bytes_of(&first);
    state.receive(&topic, Cursor(7), &[(second, Cursor(7)), (first, Cursor(6))]).unwrap();
    state.receive(&topic, Cursor(6), &[(again, Cursor(6))]).unwrap();
    drop(state);

    let state = open(&base, BOB).await;
    assert_eq!(state.cursor(&topic).unwrap(), Cursor(7), "it does not go back");
    assert_eq!(state.cursor(&Topic::Contact(bob.account())).unwrap(), Cursor(0));
    let texts: Vec<_> =
        state.inbox().unwrap().iter().map(|it| it.invitation.message().unwrap().shown().unwrap().to_owned()).collect();
    assert_eq!(texts, ["1", "2"], "each once, the oldest first");
}

#[tokio::test]
async fn bundle_that_was_rolled_back_is_refused() {
    let (state, base) = state().await;
    let mut bob = identity(BOB).await;
    let old = bob.verified_bundle();
    bob.rotate_prekey(now()).unwrap();
    let new = bob.verified_bundle();
    // The same number on another bundle: a thief of the identity key signs beside its owner.
    let twin = {
        let mut thief = identity(BOB).await;
        thief.rotate_prekey(now()).unwrap();
        thief.verified_bundle()
    };
    // The wallet's newer word outranks any version under the older one.
    let replaced = Identity::create(&wallet(BOB), NETWORK, 2, now()).await.unwrap().verified_bundle();

    assert_eq!(state.seen(bob.account(), Record::Bundle).unwrap(), None);
    state.remember_bundle(&old).unwrap();
    state.remember_bundle(&old).unwrap();
    state.remember_bundle(&new).unwrap();
    drop(state);
    let state = open(&base, ALICE).await;
    let rolled_back = |bundle: &VerifiedBundle| {
        matches!(state.remember_bundle(bundle), Err(RememberError::RolledBack { record: Record::Bundle, .. }))
    };
    assert!(rolled_back(&old));
    assert!(matches!(state.remember_bundle(&twin), Err(RememberError::Differs { .. })));
    let seen = Seen { revision: 1, version: 2, digest: new.digest(), identity_key: new.bundle().keys.identity_key };
    assert_eq!(state.seen(bob.account(), Record::Bundle).unwrap(), Some(seen));
    state.remember_bundle(&replaced).unwrap();
    assert!(rolled_back(&new));
    // Other accounts are other stories.
    state.remember_bundle(&identity(MALLORY).await.verified_bundle()).unwrap();
}

#[tokio::test]
async fn policy_that_was_rolled_back_is_refused() {
    let (state, _base) = state().await;
    let bob = identity(BOB).await;
    let policy = |version, at_least| {
        bob.sign_policy(version, Requirement::Stamp { at_least, tagged: false }, Vec::new(), Vec::new()).unwrap()
    };
    let bundle = bob.verified_bundle();
    let remember = |version, at_least| state.remember_policy(&bundle, Some(&policy(version, at_least)));
    state.remember_policy(&bundle, None).unwrap();
    remember(3, 5).unwrap();
    remember(3, 5).unwrap();
    for refused in [remember(2, 1), state.remember_policy(&bundle, None)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, RememberError::RolledBack { record: Record::Policy, .. }), "{refused}");
    }
    assert!(matches!(remember(3, 1), Err(RememberError::Differs { .. })));
    remember(4, 1).unwrap();
    assert_eq!(state.seen(bob.account(), Record::Bundle).unwrap(), None, "bundles and policies are apart");

    // Replaced keys begin anew, and what the old ones signed is over.
    let replaced = Identity::create(&wallet(BOB), NETWORK, 2, now()).await.unwrap();
    state.remember_policy(&replaced.verified_bundle(), None).unwrap();
    let first = replaced.sign_policy(1, Requirement::Member, Vec::new(), Vec::new()).unwrap();
    state.remember_policy(&replaced.verified_bundle(), Some(&first)).unwrap();
    assert!(matches!(remember(5, 1), Err(RememberError::RolledBack { .. })));
}

#[test]
fn commitment_in_a_book_is_canonical() {
    let book = Book {
        id: BookId { installation: [1; 16].into(), counter: 2 },
        denomination: units(20),
        count: Limit::new(3).unwrap(),
        commitment: Commitment::from_be_bytes([4; 32]).unwrap(),
        purchase: Purchase::Bought(PLACE),
        taken_over: true,
        taken: 1,
    };
    let bytes = book.to_bytes();
    assert_eq!(
        hex::encode(&bytes),
        "01010101010101010101010101010101 00000002 00000014 00000003 \
         0404040404040404040404040404040404040404040404040404040404040404 01 00000001 02 000000e3 00000000 00000005"
            .replace(' ', "")
    );
    assert_eq!(Book::from_bytes(&bytes).ok(), Some(book));
    for (range, value, what) in [
        (20..24, vec![0, 0, 0, 3], "denomination"),
        (24..28, vec![0; 4], "count"),
        (28..60, vec![0xff; 32], "commitment"),
        (60..61, vec![2], "taken over"),
        (61..65, vec![0, 0, 0, 4], "more taken than there are"),
        (65..66, vec![4], "purchase"),
    ] {
        let mut bytes = bytes.clone();
        bytes[range].copy_from_slice(&value);
        assert!(Book::from_bytes(&bytes).is_err(), "{what}");
    }
    for end in 0..bytes.len() {
        assert!(Book::from_bytes(&bytes[..end]).is_err(), "{end} bytes");
    }
}

/// Whoever runs a client on several threads may keep it in a task.
#[test]
fn state_may_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    fn shared<T: Sync>() {}
    shared::<State>();
    let wallet = wallet(ALICE);
    crosses(&State::open(Path::new("."), NETWORK, &wallet, || ()));
}

#[tokio::test]
async fn delivered_letter_begins_a_conversation_that_the_journal_is_told_of_once() {
    let (state, _base) = state().await;
    let (letter, envelope) = letter("hello").await;
    let id = letter.id;
    let copy = Letter::from_bytes_of(&letter);
    state.begin_letter(letter, envelope, &[]).unwrap();
    assert!(state.kept_conversations().unwrap().is_empty(), "nobody has it yet");
    state.record_delivery(id, Delivery::Delivered(postmark(id))).unwrap();
    let kept = || {
        let kept = state.kept_conversations().unwrap();
        kept.iter().map(|it| (it.letter.id, it.copy == JournalCopy::Made)).collect::<Vec<_>>()
    };
    assert_eq!(kept(), [(id, false)]);
    let view = View::default();
    state.read_journal(Cursor(0), (&view, Cursor(3)), &[Letter::from_bytes_of(&copy)], &[], &[]).unwrap();
    assert_eq!(kept(), [(id, true)]);
    state.keep_conversation(&copy).unwrap();
    assert_eq!(kept(), [(id, true)], "what the journal has, it has for good");
}

#[tokio::test]
async fn journal_is_read_on_from_where_it_was_read_to_and_no_reader_sets_another_back() {
    let (state, _base) = state().await;
    assert_eq!(state.journal().unwrap(), (View::default(), Cursor(0)));
    let mut view = View::default();
    let installation = state.installation();
    let claim = Entry::Claim { installation, slot: 0, epoch: now().epoch() };
    view.apply(&claim, now(), 1);
    state.read_journal(Cursor(0), (&view, Cursor(7)), &[], &[], &[]).unwrap();
    state.read_journal(Cursor(0), (&View::default(), Cursor(3)), &[], &[], &[]).unwrap();
    let (found, cursor) = state.journal().unwrap();
    assert_eq!((found.slot(installation, now().epoch()), cursor), (Some(0), Cursor(7)));
}

#[tokio::test]
async fn index_of_a_membership_goes_with_one_envelope() {
    let (state, _base) = state().await;
    let index = |which: u16, generation: u32| {
        let index = IndexName::new(Purpose::Opening, now().epoch(), Index::new(which));
        MemberIndex { operator: OperatorId(B256::ZERO), generation, index }
    };
    let [one, two] = [[1; 32], [2; 32]].map(EnvelopeId::from);
    state.use_index(index(16, 1), one).unwrap();
    state.use_index(index(16, 1), one).unwrap();
    let (state, _base) = after_a_kill(state).await;
    assert!(matches!(state.use_index(index(16, 1), two), Err(MembershipsError::Taken(_))));
    for another in [index(32, 1), index(16, 2)] {
        state.use_index(another, two).unwrap();
    }
    let claim = ClaimIndex { claim: ClaimId(B256::repeat_byte(1)), generation: 1, index: index(16, 1).index };
    state.use_claim_index(claim, two).unwrap();
    // Each envelope's are known by it, whatever they are of.
    let of_two = [SharedIndex::Member(index(32, 1)), SharedIndex::Member(index(16, 2)), SharedIndex::Claim(claim)];
    assert_eq!(state.indices_of(one).unwrap(), [SharedIndex::Member(index(16, 1))]);
    assert_eq!(state.indices_of(two).unwrap(), of_two);
    assert_eq!(state.indices_of([3; 32].into()).unwrap(), []);
    // The leaf's place has a name of its own.
    let position = Position { volume: 1, index: 70_000 };
    assert_eq!(state.member_position(OperatorId(B256::ZERO), 1).unwrap(), None);
    state.save_member_position(OperatorId(B256::ZERO), 1, position).unwrap();
    assert_eq!(state.member_position(OperatorId(B256::ZERO), 1).unwrap(), Some(position));
}

#[tokio::test]
async fn message_on_its_way_survives_a_kill_until_it_is_known_what_became_of_it() {
    let (state, _base) = state().await;
    let topic = Topic::Conversation(B256::repeat_byte(1));
    let other = Topic::Conversation(B256::repeat_byte(2));
    let message = |topic, number| Envelope { topic, sent_at: Timestamp::from_secs(number), ciphertext: vec![7; 256] };
    for (topic, number) in [(topic, 2), (topic, 1), (other, 3)] {
        state.begin_post(&message(topic, number)).unwrap();
    }
    let (state, _base) = after_a_kill(state).await;
    assert_eq!(state.posts(&topic).unwrap(), [message(topic, 1), message(topic, 2)]);
    state.end_post(message(topic, 1).id(NETWORK)).unwrap();
    assert_eq!(state.posts(&topic).unwrap(), [message(topic, 2)]);

    let id = message(topic, 1).id(NETWORK);
    assert!(!state.has_read(id).unwrap());
    state.read_messages(&topic, Cursor(5), &[id]).unwrap();
    state.read_messages(&topic, Cursor(3), &[]).unwrap();
    assert_eq!((state.has_read(id).unwrap(), state.cursor(&topic).unwrap()), (true, Cursor(5)));
}

#[tokio::test]
async fn first_record_with_a_name_keeps_it_for_ever() {
    let (state, _base) = state().await;
    let topic = Topic::Conversation(B256::repeat_byte(1));
    let record = |cursor: u64| {
        let envelope = Envelope { topic, sent_at: now(), ciphertext: vec![7; 256] };
        let mut postmark = postmark(envelope.id(NETWORK));
        postmark.postmark.cursor = Cursor(cursor);
        xmtp_proto::record::Record { submission: Submission::new(envelope, Vec::new()).unwrap(), postmark }
    };
    let records: Vec<_> = [3, 5, 7].map(record).into();
    state.keep_records(&[topic], &records.iter().collect::<Vec<_>>(), Cursor(8)).unwrap();
    let [one, two] = [1, 2].map(|byte| Some(B256::repeat_byte(byte)));

    let unnamed = state.unnamed(&topic, 2).unwrap();
    assert_eq!(unnamed.records, records[..2]);
    state.name(&topic, &unnamed, &[one, None]).unwrap();
    // Whoever read at the same time names them too, and changes nothing.
    state.name(&topic, &unnamed, &[two, one]).unwrap();
    let (state, _base) = after_a_kill(state).await;
    let unnamed = state.unnamed(&topic, 2).unwrap();
    assert_eq!(unnamed.records, records[2..]);
    state.name(&topic, &unnamed, &[one]).unwrap();
    assert!(state.unnamed(&topic, 2).unwrap().records.is_empty());
    assert_eq!(state.first_of(B256::repeat_byte(1)).unwrap(), Some(Cursor(3)));
    assert_eq!(state.first_of(B256::repeat_byte(2)).unwrap(), None);
}

#[tokio::test]
async fn opening_that_was_written_down_is_the_one_that_is_published() {
    let (state, _base) = state().await;
    let topic = Topic::Conversation(B256::repeat_byte(1));
    let opening = |at: Timestamp| Envelope { topic, sent_at: at, ciphertext: vec![1; 108] };
    let later = |seconds: u64| Timestamp::from_secs(now().as_secs() + seconds);
    let week = MAX_AGE_FRANKED.as_secs();
    let begin = |at: Timestamp| state.begin_opening(opening(at), at).unwrap().sent_at;
    assert_eq!(begin(now()), now());
    assert_eq!(begin(later(week - 1)), now(), "the same bytes, for which an index is reserved");
    assert_eq!(begin(later(week)), later(week), "nodes would not take the first any more");
    state.end_opening(&topic).unwrap();
    assert_eq!(begin(later(week + 1)), later(week + 1));
}

#[tokio::test]
async fn newest_word_about_an_account_stands_and_the_journal_has_it_for_good() {
    let (state, _base) = state().await;
    let peer = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse().unwrap();
    let attestation =
        Attestation { holder: [2; 32], quota: 3, expires_at: Timestamp::from_secs(1_800_000_000), signature: [4; 64] };
    let word = |at: u8, said| Word { peer, at: Timestamp::from_secs(at.into()), letter: [at; 32].into(), said };
    for (at, said) in [
        (1, Said::Issued(attestation)),
        (2, Said::Held(attestation)),
        (3, Said::Declined),
        (4, Said::Revoked),
        (5, Said::Blocked),
    ] {
        let word = word(at, said);
        assert_eq!(Word::read(&mut Reader::new(&word.to_bytes())), Ok(word));
        state.keep_word(&word).unwrap();
    }
    let (held, said) = (word(2, Said::Held(attestation)), word(5, Said::Blocked));
    assert_eq!(
        state.words_with(peer).unwrap(),
        [Some(held), Some(said)],
        "what it said stands beside what was said to it"
    );
    state.keep_word(&word(4, Said::Issued(attestation))).unwrap();
    assert_eq!(state.words_with(peer).unwrap()[1], Some(said), "older");

    let wanted = |word| KeptWord { word, copy: JournalCopy::Wanted };
    let issued = word(1, Said::Issued(attestation));
    assert_eq!(state.words().unwrap(), [wanted(issued), wanted(said), wanted(held)]);
    let due = Timestamp::from_secs(9);
    state.plan_word_copies(&[(said, due), (word(4, Said::Revoked), due)]).unwrap();
    let view = View::default();
    state.read_journal(Cursor(0), (&view, Cursor(1)), &[], &[held, word(3, Said::Declined)], &[]).unwrap();
    let copies = [(issued, JournalCopy::Wanted), (said, JournalCopy::Due(due)), (held, JournalCopy::Made)];
    assert_eq!(state.words().unwrap(), copies.map(|(word, copy)| KeptWord { word, copy }));
    state.keep_word(&held).unwrap();
    assert_eq!(state.words().unwrap()[2].copy, JournalCopy::Made);
}

#[tokio::test]
async fn every_attestation_that_was_issued_is_kept_whatever_was_said_since() {
    let (state, _base) = state().await;
    let peer = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse().unwrap();
    let issued = |at: u8, signature: u8| {
        let expires_at = Timestamp::from_secs(1_800_000_000);
        let attestation = Attestation { holder: [2; 32], quota: 3, expires_at, signature: [signature; 64] };
        Word { peer, at: Timestamp::from_secs(at.into()), letter: [1; 32].into(), said: Said::Issued(attestation) }
    };
    let kept = || state.words().unwrap().into_iter().map(|kept| (kept.word, kept.copy)).collect::<Vec<_>>();
    // Before it is sent: nothing is said yet, and the journal is not told.
    state.keep_issued(&issued(1, 1)).unwrap();
    assert_eq!(state.words_with(peer).unwrap(), [None, None]);
    assert_eq!(kept(), [(issued(1, 1), JournalCopy::Made)]);
    // Said, it is one word, and not two.
    state.keep_word(&issued(2, 1)).unwrap();
    state.keep_issued(&issued(1, 1)).unwrap();
    assert_eq!(kept(), [(issued(2, 1), JournalCopy::Wanted)]);
    // Said over, it stays, and the journal is still to be told of it; so does one that is heard of late.
    state.keep_word(&issued(4, 2)).unwrap();
    let blocked = Word { said: Said::Blocked, ..issued(5, 0) };
    state.keep_word(&blocked).unwrap();
    state.keep_word(&issued(3, 3)).unwrap();
    assert_eq!(state.words_with(peer).unwrap(), [None, Some(blocked)]);
    let all = [issued(2, 1), issued(3, 3), issued(4, 2), blocked];
    assert_eq!(kept(), all.map(|word| (word, JournalCopy::Wanted)));
    // The journal gets each of them, once.
    let due = Timestamp::from_secs(9);
    state.plan_word_copies(&all.map(|word| (word, due))).unwrap();
    assert_eq!(kept(), all.map(|word| (word, JournalCopy::Due(due))));
    state.read_journal(Cursor(0), (&View::default(), Cursor(1)), &[], &all, &[]).unwrap();
    assert_eq!(kept(), all.map(|word| (word, JournalCopy::Made)));
}
