//! Letters on their way, and those that came.

use super::*;

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
