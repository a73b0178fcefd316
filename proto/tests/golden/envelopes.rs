//! What travels and what is kept: envelopes, submissions, postmarks, records, openings, contents.

use super::*;

#[test]
fn envelope_is_three_fields() {
    check_bytes(wire::Envelope::from(envelope()), ENVELOPE);
    assert_eq!(envelope().id(NETWORK).0, hex!("8b31ad7300946011ee9808bfdf1a38ddb9402e35c2f8ac87eadcabe8daf29019"));
}

#[test]
fn submission_is_an_envelope_and_its_passes() {
    check_bytes(wire::Submission::from(submission()), &submission_table());
}

#[test]
fn postmark_is_signed_as_typed_data() {
    check_bytes(wire::Postmark::from(postmark()), POSTMARK);
    assert_eq!(
        postmark().postmark.signing_hash(),
        hex!("bced55903ac4af824423cfaf4bfd31d2f2bc207bd6aa52307f3c88d6ad5af21a")
    );
    assert_eq!(postmark().verify(), Ok(()));
}

#[test]
fn postmark_of_anything_else_is_not_signed() {
    let changes: [fn(&mut Postmark); 6] = [
        |it| it.network = [0x12; 32].into(),
        |it| it.operator = Address::repeat_byte(1),
        |it| it.cursor = Cursor(8),
        |it| it.envelope = [0; 32].into(),
        |it| it.accepted_at = Timestamp::from_nanos(1_700_000_000_000_000_002),
        |it| it.cancelled = B256::ZERO,
    ];
    for (position, change) in changes.into_iter().enumerate() {
        let mut signed = postmark();
        change(&mut signed.postmark);
        assert_eq!(signed.verify(), Err(signature::Invalid), "change {position}");
    }
}

#[test]
fn record_is_a_submission_and_its_postmark() {
    check_bytes(wire::Record::from(record()), &record_table());
    assert_eq!(record().to_bytes(), bytes(&record_table()));
}

#[test]
fn opening_is_signed_by_the_key_that_its_topic_is_named_after() {
    let opening = Opening::new(
        NETWORK,
        identity_key().verifying_key().to_bytes(),
        1000,
        Timestamp::from_nanos(1_707_776_000_999_999_999),
        |digest| signature::sign(&identity_key(), digest),
    )
    .unwrap();
    let table = "
        d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a // key
        000003e8 // quota: 1,000
        0000000065ca9800 // expiry: 1,707,776,000
        9b6a5626e289af8ed6fda2364cecc16ad2f38af145b33101709cd05aa99b450c // signature
        a0db0083fd8af41fe96269bc7ed527241131d88c26377cb0d9e855c4062dce0e
    ";
    let bytes = bytes(table);
    assert_eq!(hex::encode(opening.to_bytes()), hex::encode(&bytes));
    assert_eq!(opening.verify(NETWORK), Ok(()));
    assert_eq!(Opening::from_bytes(&bytes).as_ref(), Ok(&opening));
    let topic = "/xmtp/1/conv-796f4b79b659921a51e4365127b389bd6305c4a175d6928caf197bc245ab92bd/proto";
    assert_eq!(opening.topic(), topic.parse().unwrap());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // The quota's high bits are out of range; everything else is signed.
        if let Ok(opening) = Opening::from_bytes(&flipped) {
            assert_eq!(opening.verify(NETWORK), Err(signature::Invalid), "bit {bit}");
        }
    }
}

#[test]
fn content_of_a_letter() {
    let text = wire::ContentType { authority: "xmtp.org".into(), name: "text".into(), major: 1, minor: 0 };
    check_bytes(
        wire::Content { r#type: Some(text), fallback: Some("Hello".into()), body: b"Hi".to_vec() },
        r#"
            0a 12 // type
              0a 08 "xmtp.org" // authority
              12 04 "text" // name
              18 01 // major
            1a 05 "Hello" // fallback
            22 02 4869 // body
        "#,
    );
}
