//! Requirements, and the policies that are made of them.

use super::*;

#[test]
fn requirement_of_every_kind() {
    let claim = format!("claim(0x{})", "07".repeat(32));
    let text = format!(
        "any(connection, all(member, stamp(5, tagged)), stake(2), stake(any), {claim}, claim(any), stamp(1000))"
    );
    check_bytes(
        wire::Requirement::from(requirement(&text)),
        "
            0a 4f // any_of
              0a 02 // parts
                3a 00 // connection
              0a 0e // parts
                12 0c // all_of
                  0a 02 // parts
                    32 00 // member
                  0a 06 // parts
                    1a 04 // stamp
                      08 05 // at_least
                      10 01 // tagged
              0a 04 // parts
                22 02 // stake
                  08 02 // tier
              0a 02 // parts
                22 00 // stake
              0a 24 // parts
                2a 22 // claim
                  0a 20 07*32 // id
              0a 02 // parts
                2a 00 // claim
              0a 05 // parts
                1a 03 // stamp
                  08 e8 07 // at_least: 1,000
        ",
    );
    check_bytes(wire::Requirement::from(Requirement::nothing()), "12 00 // all_of");
}

#[test]
fn policy_is_signed_in_the_bytes_it_is_published_in() {
    let policy = Policy {
        account: account(),
        version: 9,
        requirement: requirement("stamp(5)"),
        blocked_tags: vec![element(4).into()],
        revoked_attestations: vec![keccak256([0xa; 64])],
    };
    let inner = r#"
          0a 33 "eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f" // account
          10 09 // version
          1a 04 // requirement
            1a 02 // stamp
              08 05 // at_least
          22 20 04*32 // blocked_tags
          2a 20 7a65e531c661b8ed95580064255d9ea910b8843057e41f805b1d55b681e8dda5 // revoked_attestations
    "#;
    check_bytes(wire::Policy::from(policy.clone()), inner);

    let signed = SignedPolicy::new(NETWORK, policy, |digest| signature::sign(&identity_key(), digest)).unwrap();
    assert_eq!(signed.digest(NETWORK), hex!("3612ffb5e5473d0eb4473be1adcae4350b3120f7f32743456eb9f553a403c471"));
    assert_eq!(signed.verify(NETWORK, identity_key().verifying_key().as_bytes()), Ok(()));
    let table = format!(
        "
        0a 81 01 // policy
        {inner}
        12 40 // signature
          2683fc42c18c262ff0c2a07933f66762971573c6112efc28a65f4c2ad23433ad
          cc32c7fa731bda35801f689556dc3271b5bdb68fa8b05359cfcd657aa594ae05
        "
    );
    assert_eq!(hex::encode(signed.to_bytes()), hex::encode(bytes(&table)));
}

#[test]
fn policy_of_a_later_schema_is_kept_in_the_bytes_that_were_signed() {
    let policy = Policy {
        account: account(),
        version: 9,
        requirement: Requirement::nothing(),
        blocked_tags: Vec::new(),
        revoked_attestations: Vec::new(),
    };
    let mut inner = wire::Policy::from(policy).encode_to_vec();
    inner.extend(bytes("a2 06 03 010203 // a field with number 100"));
    let digest = signature::digest(signature::Label::Policy, NETWORK, &[keccak256(&inner).as_slice()]);
    let signature = signature::sign(&identity_key(), digest).to_vec();
    let published = wire::SignedPolicy { policy: inner, signature }.encode_to_vec();

    let signed = SignedPolicy::from_bytes(&published).unwrap();
    assert_eq!(signed.verify(NETWORK, identity_key().verifying_key().as_bytes()), Ok(()));
    assert_eq!(signed.to_bytes(), published);
}

#[test]
fn policy_with_any_bit_flipped_is_not_signed() {
    let policy = Policy {
        account: account(),
        version: 9,
        requirement: requirement("any(connection, stamp(5))"),
        blocked_tags: Vec::new(),
        revoked_attestations: Vec::new(),
    };
    let signed = SignedPolicy::new(NETWORK, policy, |digest| signature::sign(&identity_key(), digest)).unwrap();
    let (key, good) = (identity_key().verifying_key().to_bytes(), signed.to_bytes());
    assert_eq!(SignedPolicy::from_bytes(&good).unwrap().verify(NETWORK, &key), Ok(()));
    for position in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[position / 8] ^= 1 << (position % 8);
        if let Ok(policy) = SignedPolicy::from_bytes(&bytes) {
            assert_eq!(policy.verify(NETWORK, &key), Err(signature::Invalid), "bit {position} does not matter");
        }
    }
}
