//! Every kind of pass.

use super::*;

const PROOF: &str = "
        0a 20 01*32 // root
        12 20 02*32 // nullifier
        1a 20 03*32 // share
        22 20 04*32 // tag
        2a 80 01 05*128 // points
";

#[track_caller]
fn check_pass(pass: Pass, expected: &str) {
    check_bytes(wire::Pass::from(pass), expected);
}

#[test]
fn tagged_stamp() {
    let denomination = 5.try_into().unwrap();
    check_pass(
        Pass::Stamp(Stamp { denomination, issue: Issue(215), proof: proof(), nonce: None }),
        &format!(
            "
            0a 93 02 // stamp
              08 05 // denomination
              10 d7 01 // issue: 215
              1a 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn stamp_prepared_under_a_nonce() {
    let (denomination, nonce) = (500.try_into().unwrap(), Some(element(6).into()));
    check_pass(
        Pass::Stamp(Stamp { denomination, issue: Issue(215), proof: proof(), nonce }),
        &format!(
            "
            0a b6 02 // stamp
              08 f4 03 // denomination: 500
              10 d7 01 // issue: 215
              1a 8b 02 // proof
            {PROOF}
              22 20 06*32 // nonce
            "
        ),
    );
}

#[test]
fn stake() {
    check_pass(
        Pass::Stake(Stake { tier: 2, epoch: now().epoch(), proof: proof() }),
        &format!(
            "
            12 94 02 // stake
              08 02 // tier
              10 db9901 // epoch: 19,675
              1a 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn claim() {
    check_pass(
        Pass::Claim(Claim { id: [7; 32].into(), generation: 215, epoch: Epoch(19_675), proof: proof() }),
        &format!(
            "
            1a b7 02 // claim
              0a 20 07*32 // id
              10 d7 01 // generation: 215
              18 db9901 // epoch: 19,675
              22 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn member() {
    check_pass(
        Pass::Member(Member { operator: [8; 32].into(), generation: 215, epoch: Epoch(19_675), proof: proof() }),
        &format!(
            "
            22 b7 02 // member
              0a 20 08*32 // operator
              10 d7 01 // generation: 215
              18 db9901 // epoch: 19,675
              22 8b 02 // proof
            {PROOF}
            "
        ),
    );
}

#[test]
fn connection() {
    check_pass(
        Pass::Connection(Connection {
            holder: [9; 32],
            quota: 1000,
            expires_at: Timestamp::from_secs(1_800_000_000),
            attestation: [0xa; 64],
            signature: [0xb; 64],
        }),
        "
            2a af 01 // connection
              0a 20 09*32 // holder
              10 e8 07 // quota: 1,000
              18 80a4a7da06 // expires_at_s: 1,800,000,000
              22 40 0a*64 // attestation
              2a 40 0b*64 // signature
        ",
    );
}

#[test]
fn posting() {
    check_pass(
        Pass::Posting(Posting { key: [9; 32], signature: [0xb; 64] }),
        "
            32 64 // posting
              0a 20 09*32 // key
              12 40 0b*64 // signature
        ",
    );
}

#[test]
fn owner() {
    check_pass(
        Pass::Owner(Owner { signature: [0xb; 64] }),
        "
            3a 42 // owner
              0a 40 0b*64 // signature
        ",
    );
}

#[test]
fn issuer() {
    check_pass(
        Pass::Issuer(Issuer { issuer: Address::repeat_byte(0xc), signature: [0xb; 65] }),
        "
            42 59 // issuer
              0a 14 0c*20 // issuer
              12 41 0b*65 // signature
        ",
    );
}
