//! Signatures at their edges: what one honest signer makes verifies, and nothing else has the right to.
//!
//! The digests and signatures were made by PyCryptodome, libsodium and eth-account; the crafted points by arithmetic on the
//! curve's equation alone.
#![allow(clippy::unwrap_used)] // A test may.

use alloy_primitives::{Address, B256, U256, address, b256, eip191_hash_message, hex};
use ed25519_dalek::{Signature, SigningKey, Verifier as _, VerifyingKey};
use xmtp_proto::derive::NetworkId;
use xmtp_proto::signature::{Invalid, Label, digest, recover, sign, verify};

const NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x11));

/// `digest(Label::Policy, NETWORK, [22; 32])`.
const DIGEST: B256 = b256!("7ceeadcd11bdb52390735dbf37cc48f2cf47f4737e212775ebca2e978847888d");

/// The public key of RFC 8032, section 7.1, test 1.
const KEY: [u8; 32] = hex!("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");

/// What it signs under [`DIGEST`].
const SIGNATURE: [u8; 64] = hex!(
    "2db81bc51c7525c7029231fcd5445e0a29be802d4f47832e8f3ce3da15021117"
    "95111eaa422183825152bbfe9c8e76ee281738393eb667ad3cbb4839e497a802"
);

#[test]
fn every_label_has_its_digest() {
    for (label, expected) in [
        (Label::Bundle, "aad545ef00d009586f0637b5041760a2d724ed0a32d82fa3ca12fdb57fb1581b"),
        (Label::Keys, "107427e257c8694b180e6e322cf87339aa6a64513037b6b6f79d687e422727b5"),
        (Label::Policy, "7ceeadcd11bdb52390735dbf37cc48f2cf47f4737e212775ebca2e978847888d"),
        (Label::Owner, "060a1744066bb36548eb76c511d6dfbc1b43c20882d905bd994cbaf01d2bb683"),
        (Label::Posting, "12e18ba212fcefe7ff8f1b30cffa384344a36a834125b699907b0f666121bb9a"),
        (Label::Opening, "9e3978096a65b43d03dbad6b0678a6b2daeb66b7e0075f6a22d71b8e8d069849"),
        (Label::Message, "cfe84850778117fa9ba474727cca85069ca57fef7443a6b43bd0839c8ca9bef6"),
        (Label::Attestation, "d1d99c3d94f5aedb18917750b3e684401ca6b91b015d51a631e073f932b44b54"),
        (Label::Connection, "fa4dd6e6a5bfcb252a090a953380e7ac249354b44ed2e9c25eedc88ea6672bbf"),
        (Label::Receipt, "85a5053cdf28c1dd424fec383c6cc7c0859cea77f42ef73859040818ac9ebf5e"),
        (Label::Issuer, "e62ae515ba49c0c4663e946b301dc26bad9f1bdd9437249a494fd73acc8eea37"),
    ] {
        assert_eq!(hex::encode(digest(label, NETWORK, &[&[0x22; 32]])), expected, "{label:?}");
    }
}

#[test]
fn keys_of_rfc_8032_sign_as_elsewhere() {
    for (secret, public, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "2db81bc51c7525c7029231fcd5445e0a29be802d4f47832e8f3ce3da15021117\
             95111eaa422183825152bbfe9c8e76ee281738393eb667ad3cbb4839e497a802",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "89ae645fde6d985878764c26f12ad0275200185e0fdbcb12147ae04b67a4845e\
             f5f5abd8004a61e2fdb9988710580447b578195664b13bc11aac3fa54e1c7f0c",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "a9918ea1320bedda125fd34df4e9ce099875b23f7f3a2d76c4edd7a846b9f1f0\
             c905b7d0f1de02c2477304ba9080bc2545b7e1ac63a944f369697ac179296104",
        ),
    ] {
        let key = SigningKey::from_bytes(&fixed(secret));
        assert_eq!(hex::encode(key.verifying_key()), public);
        assert_eq!(hex::encode(sign(&key, DIGEST)), signature);
        assert_eq!(verify(&fixed(public), DIGEST, &fixed(signature)), Ok(()));
    }
}

#[test]
fn signature_with_any_bit_flipped_is_refused() {
    assert_eq!(verify(&KEY, DIGEST, &SIGNATURE), Ok(()));
    for bit in 0..SIGNATURE.len() * 8 {
        assert_eq!(verify(&KEY, DIGEST, &flipped(SIGNATURE, bit)), Err(Invalid), "bit {bit} of the signature");
    }
    for bit in 0..256 {
        assert_eq!(verify(&flipped(KEY, bit), DIGEST, &SIGNATURE), Err(Invalid), "bit {bit} of the key");
        let other = flipped(DIGEST.0, bit).into();
        assert_eq!(verify(&KEY, other, &SIGNATURE), Err(Invalid), "bit {bit} of the digest");
    }
}

#[test]
fn scalar_has_one_encoding() {
    // S + L and S + 2L are the same number to the group's order, and would be second names of the signature.
    for scalar in [
        "82e513075d8495da27efb2a17b885503291738393eb667ad3cbb4839e497a812",
        "6fb9096477e7a732fe8baa445a823418291738393eb667ad3cbb4839e497a822",
    ] {
        let mut signature = SIGNATURE;
        signature[32..].copy_from_slice(&fixed::<32>(scalar));
        assert_eq!(verify(&KEY, DIGEST, &signature), Err(Invalid), "{scalar}");
    }
}

/// All fourteen encodings of the eight points of small order, canonical and not, each as a key A with a point R and a
/// digest for which S = 0 fulfils the equation S·B = R + h·A.
const SMALL_ORDER: [(&str, &str, &str); 14] = [
    (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35",
    ),
    (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "0100000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    (
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
];

#[test]
fn no_key_of_small_order_signs_anything() {
    for (key, point, digest) in SMALL_ORDER {
        let (key, digest) = (fixed::<32>(key), B256::from(fixed::<32>(digest)));
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&fixed::<32>(point));
        let lax = VerifyingKey::from_bytes(&key).unwrap().verify(digest.as_slice(), &Signature::from_bytes(&signature));
        assert!(lax.is_ok(), "the equation holds, or this test says nothing");
        assert_eq!(verify(&key, digest, &signature), Err(Invalid), "{}", hex::encode(key));
    }
}

#[test]
fn point_of_small_order_is_no_nonce() {
    // R is the neutral element and S = h·a: who holds the key can make it, and it fulfils the equation.
    let signature = fixed(
        "0100000000000000000000000000000000000000000000000000000000000000\
         2c5f45d94fdca11f7c328045678c78dbb2a9ec83eb9d6e410d819cce10ce3d07",
    );
    let lax = VerifyingKey::from_bytes(&KEY).unwrap().verify(DIGEST.as_slice(), &Signature::from_bytes(&signature));
    assert!(lax.is_ok());
    assert_eq!(verify(&KEY, DIGEST, &signature), Err(Invalid));
}

#[test]
fn equation_is_judged_without_the_cofactor() {
    // One nonce three times: alone; with a point of order eight beside it; and under a key with such a point beside it, where
    // the equation times eight would hold for both digests. So every verifier gives the same verdict.
    let honest = fixed(
        "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572\
         1d9aaaf6bce1814096fcd95b4d98396bbb87cf77a192338060ea3504697b2a01",
    );
    assert_eq!(verify(&KEY, DIGEST, &honest), Ok(()));

    let mixed_nonce = fixed(
        "6a84d583f06569edb3f5ed77df65544b27d6948b4f0b2cb76f33dd8413b20719\
         922c070f6e1a3644f66dc283d35f6fad04584b173e4ff7baa16ed95b29b30804",
    );
    assert_eq!(verify(&KEY, DIGEST, &mixed_nonce), Err(Invalid));

    let mixed_key = fixed("9158312a9a8d6e3b34c891d6d61444f8b8211c5117ebad15bdb0bd68b07e0245");
    let point_cancels = (
        b256!("5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"),
        fixed(
            "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572\
             b5202b84fa0b65d15a0e791ba81cf1822f2d761cd70a6800616d98a183ade802",
        ),
    );
    assert_eq!(verify(&mixed_key, point_cancels.0, &point_cancels.1), Ok(()));
    let point_stays = (
        b256!("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"),
        fixed(
            "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572\
             3547e469ea314046f5d8528c4680a232028b8ec6d40f68511081536d862a290d",
        ),
    );
    assert_eq!(verify(&mixed_key, point_stays.0, &point_stays.1), Err(Invalid));
}

#[test]
fn key_that_is_no_point_verifies_nothing() {
    // No point has y = 2.
    let key = fixed("0200000000000000000000000000000000000000000000000000000000000000");
    assert_eq!(verify(&key, DIGEST, &SIGNATURE), Err(Invalid));
}

/// The example of web3.js's documentation: "Some data", signed with `personal_sign`.
const WALLET: Address = address!("2c7536E3605D9C16a7a3D7b1898e529396a65c23");
const R: [u8; 32] = hex!("b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd");
const S: [u8; 32] = hex!("6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029");
const V: u8 = 28;
/// The order of secp256k1.
const ORDER: [u8; 32] = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

#[track_caller]
fn check_recovery(r: [u8; 32], s: [u8; 32], v: u8, expected: Result<Address, Invalid>) {
    let mut signature = [0; 65];
    signature[..32].copy_from_slice(&r);
    signature[32..64].copy_from_slice(&s);
    signature[64] = v;
    assert_eq!(recover(eip191_hash_message("Some data"), &signature), expected);
}

#[test]
fn wallet_is_recovered_from_what_it_signed() {
    let hash = b256!("1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655");
    assert_eq!(eip191_hash_message("Some data"), hash);
    check_recovery(R, S, V, Ok(WALLET));
}

#[test]
fn s_is_low_to_the_last_bit() {
    let half: U256 = U256::from_be_bytes(ORDER) >> 1;
    check_recovery(R, half.to_be_bytes(), V, Ok(address!("d3E2Eb2246349109dd40B2E3864F722966F049a7")));
    check_recovery(R, (half + U256::ONE).to_be_bytes(), V, Err(Invalid));
    // The same signature by its other name: it would recover the same wallet.
    let high = U256::from_be_bytes(ORDER) - U256::from_be_bytes(S);
    check_recovery(R, high.to_be_bytes(), 27, Err(Invalid));
}

#[test]
fn v_is_27_or_28() {
    for v in (0..=u8::MAX).filter(|v| !matches!(v, 27 | 28)) {
        check_recovery(R, S, v, Err(Invalid));
    }
}

#[test]
fn r_and_s_lie_between_zero_and_the_order() {
    for out in [[0; 32], ORDER, [0xff; 32]] {
        check_recovery(out, S, V, Err(Invalid));
        check_recovery(R, out, V, Err(Invalid));
    }
}

#[test]
fn r_is_the_abscissa_of_a_point() {
    // 5³ + 7 is no square.
    check_recovery(U256::from(5).to_be_bytes(), S, V, Err(Invalid));
    check_recovery(U256::from(5).to_be_bytes(), S, 27, Err(Invalid));
}

#[test]
fn wallet_is_not_recovered_from_a_signature_with_any_bit_flipped() {
    let hash = eip191_hash_message("Some data");
    let mut signature = [0; 65];
    signature[..32].copy_from_slice(&R);
    signature[32..64].copy_from_slice(&S);
    signature[64] = V;
    for bit in 0..signature.len() * 8 {
        assert_ne!(recover(hash, &flipped(signature, bit)), Ok(WALLET), "bit {bit} does not matter");
    }
}

fn fixed<const N: usize>(digits: &str) -> [u8; N] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn flipped<const N: usize>(mut bytes: [u8; N], bit: usize) -> [u8; N] {
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}
