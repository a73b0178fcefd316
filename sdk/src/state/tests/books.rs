//! Books of stamps, and which stamp goes with which letter.

use super::*;

/// A stamp as if the journal had granted it.
fn granted(book: BookId, index: u16) -> Supply {
    Supply::Granted(GrantedStamp::made_up(StampUse { book, index: Index::new(index) }))
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
