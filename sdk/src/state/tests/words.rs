//! What was said to whom.

use super::*;

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
