//! What an account publishes of its keys: the text that the wallet signs, the key bundle, the vault.

use super::*;

/// Attested by the wallet whose secret key is 32 bytes of 0x46.
fn key_bundle() -> KeyBundle {
    KeyBundle {
        keys: AttestedKeys {
            account: account(),
            revision: 3,
            identity_key: identity_key().verifying_key().to_bytes(),
            agreement_key: [0xd; 32],
            generation: 215,
            claim_commitment: element(0xe).into(),
            member_commitment: element(0xf).into(),
        },
        wallet_signature: hex!(
            "d19a71ab81a8227fe0b7d727d77356ab76b3e9f0b08f119809661ef46c2da5a7"
            "7212081eb6094f22bdaf0d72d67124f9c83c0e5225cb6f0a3ec56771db782cf81b"
        ),
        version: 4,
        prekey: [0x10; 32],
        signature: hex!(
            "631129fb12cd806525c4dacdbbb4e8e0c58d7af6e236459f34dab9ec5450669b"
            "ed975d3e15fbccd5a8e3cbc0dd8829dc14b21503d5dcc438e2f9817b7fbc1c00"
        ),
    }
}

#[test]
fn wallet_signs_this_text_to_the_letter() {
    let text = "\
XMTP: attest the messaging keys of this account

Account: eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f
Network: 0x1111111111111111111111111111111111111111111111111111111111111111
Revision: 3
Keys: 0x6bc48f2bfba91a236ec9fa6d6a324df239a1255e84533a6e8f6bea8486c3c124

Whoever holds these keys reads and writes mail in your name. This moves no funds.";
    assert_eq!(key_bundle().keys.attestation_text(NETWORK), text);
    assert_eq!(
        key_bundle().keys.digest(NETWORK),
        hex!("6bc48f2bfba91a236ec9fa6d6a324df239a1255e84533a6e8f6bea8486c3c124")
    );
}

#[test]
fn key_bundle_proves_itself() {
    let bundle = key_bundle();
    assert_eq!(bundle.digest(NETWORK), hex!("181dfe645670fb27209a290d7bac69c022818b09355c27711efbcb0adacbb325"));
    assert_eq!(signature::sign(&identity_key(), bundle.digest(NETWORK)), bundle.signature);
    assert_eq!(bundle.verify(NETWORK), Ok(()));
    assert_eq!(bundle.verify([0x12; 32].into()), Err(InvalidBundle::Wallet));
    let table = r#"
        0a 33 "eip155:1:0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f" // account
        10 03 // revision
        1a 20 d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a // identity_key
        22 20 0d*32 // agreement_key
        28 d7 01 // generation: 215
        32 20 0e*32 // claim_commitment
        3a 20 0f*32 // member_commitment
        42 41 // wallet_signature
          d19a71ab81a8227fe0b7d727d77356ab76b3e9f0b08f119809661ef46c2da5a7
          7212081eb6094f22bdaf0d72d67124f9c83c0e5225cb6f0a3ec56771db782cf8
          1b
        48 04 // version
        52 20 10*32 // prekey
        5a 40 // signature
          631129fb12cd806525c4dacdbbb4e8e0c58d7af6e236459f34dab9ec5450669b
          ed975d3e15fbccd5a8e3cbc0dd8829dc14b21503d5dcc438e2f9817b7fbc1c00
    "#;
    check_bytes(wire::KeyBundle::from(bundle), table);
    assert_eq!(bundle.to_bytes(), bytes(table));
}

#[test]
fn key_bundle_with_any_bit_flipped_does_not_prove_itself() {
    let good = key_bundle().to_bytes();
    for position in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[position / 8] ^= 1 << (position % 8);
        // A flip in a field's header may make it an unknown field; then the field is missing, which is refused too.
        if let Ok(bundle) = KeyBundle::from_bytes(&bytes) {
            assert!(bundle.verify(NETWORK).is_err(), "bit {position} does not matter");
        }
    }
}

#[test]
fn key_bundle_with_any_field_changed_names_the_signature_that_does_not_hold() {
    use InvalidBundle::{Identity, Wallet};
    type Change = fn(&mut KeyBundle);
    let changes: [(Change, InvalidBundle); 11] = [
        (|it| it.keys.account = Account::externally_owned(Address::repeat_byte(1)), Wallet),
        (|it| it.keys.account = Account::on_chain(10, it.keys.account.address()), Wallet),
        (|it| it.keys.revision += 1, Wallet),
        (|it| it.keys.identity_key[0] ^= 1, Wallet),
        (|it| it.keys.agreement_key[0] ^= 1, Wallet),
        (|it| it.keys.generation += 1, Wallet),
        (|it| it.keys.claim_commitment = element(1).into(), Wallet),
        (|it| it.keys.member_commitment = element(1).into(), Wallet),
        (|it| it.version += 1, Identity),
        (|it| it.prekey[0] ^= 1, Identity),
        (|it| it.signature[0] ^= 1, Identity),
    ];
    for (position, (change, expected)) in changes.into_iter().enumerate() {
        let mut bundle = key_bundle();
        change(&mut bundle);
        assert_eq!(bundle.verify(NETWORK), Err(expected), "change {position}");
    }
}

#[test]
fn vault_record() {
    let record = VaultRecord { version: 2, salt: [0x11; 32], nonce: [0x12; 24], sealed: vec![0x13; 48] };
    let table = "
        08 02 // version
        12 20 11*32 // salt
        1a 18 12*24 // nonce
        22 30 13*48 // sealed
    ";
    assert_eq!(record.to_bytes(), bytes(table));
    check_bytes(wire::VaultRecord::from(record), table);
}
