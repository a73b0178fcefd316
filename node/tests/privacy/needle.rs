//! What is looked for, and all the ways to write it.

use std::collections::BTreeSet;

use alloy::hex;
use alloy::primitives::{Address, U256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use xmtp_proto::account::Account;

/// What somebody could be told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Account,
    IdentityKey,
    AgreementKey,
    Prekey,
    ClaimCommitment,
    MemberCommitment,
    MemberLeaf,
    WalletSignature,
    BundleSignature,
    BookCommitment,
    BookLeaf,
    StakeCommitment,
    StakeLeaf,
    /// By which a book was bought or a stake made.
    Transaction,
}

/// Something of somebody's: at least 20 bytes, so that it is not found by chance.
#[derive(Clone)]
pub(crate) struct Needle {
    whose: Account,
    what: What,
    forms: Vec<(&'static str, Vec<u8>)>,
}

/// A needle, and how it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) whose: Account,
    pub(crate) what: What,
    pub(crate) form: &'static str,
}

impl Needle {
    pub(crate) fn new(whose: Account, what: What, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        assert!(bytes.len() >= 20, "{what:?} is too short to be looked for");
        assert!(bytes.iter().collect::<BTreeSet<_>>().len() > 4, "{what:?} could be anything");
        Self { whose, what, forms: forms(bytes) }
    }

    /// Each form of it.
    pub(crate) fn written(&self) -> impl Iterator<Item = &[u8]> {
        self.forms.iter().map(|(_, bytes)| bytes.as_slice())
    }

    /// Whether a node has no business to have it at all.
    pub(crate) const fn is_permitted_nowhere(&self) -> bool {
        matches!(self.what, What::Transaction | What::MemberLeaf)
    }

    fn found(&self, form: &'static str) -> Found {
        Found { whose: self.whose, what: self.what, form }
    }
}

/// As bytes, from both ends; in hex; in base64, wherever it stands in what is written so; as a number.
fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut forms = vec![
        ("raw", bytes.to_vec()),
        ("raw, from its end", reversed.clone()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("hex in upper case", hex::encode_upper(bytes).into_bytes()),
        ("base64", base64_at(bytes, 0, false)),
        ("base64, a byte in", base64_at(bytes, 1, false)),
        ("base64, two bytes in", base64_at(bytes, 2, false)),
        ("base64 for URLs", base64_at(bytes, 0, true)),
        ("base64 for URLs, a byte in", base64_at(bytes, 1, true)),
        ("base64 for URLs, two bytes in", base64_at(bytes, 2, true)),
    ];
    if bytes.len() <= 32 {
        forms.push(("a number", U256::from_be_slice(bytes).to_string().into_bytes()));
        forms.push(("a number, from its end", U256::from_be_slice(&reversed).to_string().into_bytes()));
    }
    if bytes.len() == 20 {
        let checksummed = Address::from_slice(bytes).to_checksum(None);
        forms.push(("EIP-55", checksummed.trim_start_matches("0x").as_bytes().to_vec()));
    }
    forms
}

/// Those characters that are the same whatever stands before and behind, if it begins so many bytes into a group of three.
fn base64_at(bytes: &[u8], offset: usize, for_urls: bool) -> Vec<u8> {
    let shifted = [&[0, 0, 0][..offset], bytes].concat();
    let text = if for_urls { URL_SAFE_NO_PAD.encode(&shifted) } else { STANDARD_NO_PAD.encode(&shifted) };
    text.as_bytes()[(8 * offset).div_ceil(6)..8 * shifted.len() / 6].to_vec()
}

/// What is found of all needles.
pub(crate) fn find(needles: &[Needle], haystack: &[u8]) -> BTreeSet<Found> {
    let mut found = BTreeSet::new();
    for needle in needles {
        for (form, bytes) in &needle.forms {
            if memmem::find(haystack, bytes).is_some() {
                found.insert(needle.found(form));
            }
        }
    }
    found
}

/// All that could be found.
pub(crate) fn all(needles: &[Needle]) -> BTreeSet<Found> {
    needles.iter().flat_map(|needle| needle.forms.iter().map(|(form, _)| needle.found(form))).collect()
}
