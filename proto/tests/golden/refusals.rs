//! Every refusal, as a client is told of it.

use super::*;

#[track_caller]
fn check_refusal(code: Code, refusal: Refusal, expected: &str) {
    assert_eq!(refusal.code(), code);
    check_bytes(wire::Refusal::from(refusal), expected);
}

#[test]
fn refusal_of_every_code() {
    check_refusal(
        Code::RequirementUnmet,
        Refusal::RequirementUnmet { unmet: requirement("any(connection, stamp(5))"), asked_by: AskedBy::Network },
        r#"
            08 01 // code
            12 5b "the network asks for any(connection, stamp(5)); attach what is missing to the same envelope" // message
            1a 0c // unmet
              0a 0a // any_of
                0a 02 // parts
                  3a 00 // connection
                0a 04 // parts
                  1a 02 // stamp
                    08 05 // at_least
        "#,
    );
    check_refusal(
        Code::RequirementUnmet,
        Refusal::RequirementUnmet { unmet: requirement("member"), asked_by: AskedBy::Account },
        r#"
            08 01 // code
            12 4a "the recipient asks for member; attach what is missing to the same envelope" // message
            1a 02 // unmet
              32 00 // member
            20 01 // asked_by_account
        "#,
    );
    check_refusal(
        Code::NullifierUsed,
        Refusal::NullifierUsed { nullifier: element(2).into() },
        r#"
            08 02 // code
            12 8d 01 "the stamp with nullifier 0x0202020202020202020202020202020202020202020202020202020202020202 was used for another envelope; take another stamp" // message
            2a 20 02*32 // nullifier
        "#,
    );
    check_refusal(
        Code::RootUnknown,
        Refusal::RootUnknown,
        r#"
            08 03 // code
            12 67 "no such root of this group is known; fetch the bucket again, and prove under a root that the node names" // message
        "#,
    );
    check_refusal(
        Code::RootExpired,
        Refusal::RootExpired,
        r#"
            08 04 // code
            12 49 "the root has expired; fetch the bucket again, and prove under a newer one" // message
        "#,
    );
    check_refusal(
        Code::ProofInvalid,
        Refusal::ProofInvalid,
        r#"
            08 05 // code
            12 45 "the proof does not verify for this envelope, topic, group and network" // message
        "#,
    );
    check_refusal(
        Code::EpochWrong,
        Refusal::EpochWrong,
        r#"
            08 06 // code
            12 3b "the pass is for another epoch or issue than the present one" // message
        "#,
    );
    check_refusal(
        Code::SecretClosed,
        Refusal::SecretClosed,
        r#"
            08 07 // code
            12 7f "the secret behind this pass is public: it signed two envelopes with one index; show a pass of another book, stake or commitment" // message
        "#,
    );
    check_refusal(
        Code::TagBlocked,
        Refusal::TagBlocked,
        r#"
            08 08 // code
            12 21 "the recipient blocked this sender" // message
        "#,
    );
    check_refusal(
        Code::QuotaExhausted,
        Refusal::QuotaExhausted,
        r#"
            08 09 // code
            12 43 "the quota for this epoch is used up; it starts anew at midnight UTC" // message
        "#,
    );
    check_refusal(
        Code::AlreadyOpen,
        Refusal::AlreadyOpen,
        r#"
            08 0a // code
            12 20 "the conversation is open already" // message
        "#,
    );
    check_refusal(
        Code::NotOwner,
        Refusal::NotOwner,
        r#"
            08 0b // code
            12 57 "the topic belongs to somebody else: its owner's signature is missing or does not verify" // message
        "#,
    );
    check_refusal(
        Code::NotOffered,
        Refusal::NotOffered { what: "a claim".into() },
        r#"
            08 0c // code
            12 07 "a claim" // message
        "#,
    );
    check_refusal(
        Code::NoSuchInbox,
        Refusal::NoSuchInbox,
        r#"
            08 0d // code
            12 48 "the account has no inbox on this network: it has published no key bundle" // message
        "#,
    );
    check_refusal(
        Code::VersionStale,
        Refusal::VersionStale,
        r#"
            08 0e // code
            12 73 "a newer version of this record, or this version with other content, is stored already; read it and go on from there" // message
        "#,
    );
    check_refusal(
        Code::HeadMoved,
        Refusal::HeadMoved { head: Cursor(7) },
        r#"
            08 0f // code
            12 35 "the topic moved on to cursor 7; read it and try again" // message
            30 07 // head
        "#,
    );
    check_refusal(
        Code::TimeOutOfRange,
        Refusal::TimeOutOfRange { now: now() },
        r#"
            08 10 // code
            12 69 "the envelope's time is outside the window that nodes accept; the node's clock reads 1700000000.000000001s" // message
            38 8180a8b1e39fe7cb17 // now_ns: 1,700,000,000,000,000,001
        "#,
    );
    check_refusal(
        Code::ChainViewStale,
        Refusal::ChainViewStale { retry_after: Duration::from_secs(2) },
        r#"
            08 11 // code
            12 35 "the node has lost sight of its chain; try again later" // message
            40 d0 0f // retry_after_ms: 2,000
        "#,
    );
    check_refusal(
        Code::Overloaded,
        Refusal::Overloaded { retry_after: Duration::from_millis(250) },
        r#"
            08 12 // code
            12 3c "the node has too much to do; send the same bytes again later" // message
            40 fa 01 // retry_after_ms: 250
        "#,
    );
    check_refusal(
        Code::Malformed,
        Refusal::Malformed { reason: "envelope is missing".into() },
        r#"
            08 13 // code
            12 13 "envelope is missing" // message
        "#,
    );
}
