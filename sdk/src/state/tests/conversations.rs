//! Conversations, their messages and the journal.

use super::*;

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
