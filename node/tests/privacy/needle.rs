//! What is looked for, and all the ways to write it.

use std::collections::BTreeSet;

use alloy::hex;
use alloy::primitives::{Address, U256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// Something that must not be found: at least 20 bytes, so that none is found by chance.
#[derive(Clone)]
pub(crate) struct Needle {
    pub(crate) what: String,
    bytes: Vec<u8>,
}

impl Needle {
    pub(crate) fn new(what: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        let (what, bytes) = (what.into(), bytes.as_ref().to_vec());
        assert!(bytes.len() >= 20, "{what} is too short to be looked for");
        assert!(bytes.iter().collect::<BTreeSet<_>>().len() > 4, "{what} could be anything");
        Self { what, bytes }
    }

    /// As bytes, from both ends; in hex; in base64, wherever it stands in what is written so; as a number.
    pub(crate) fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let bytes = &self.bytes;
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        let mut forms = vec![
            ("raw", bytes.clone()),
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
}

/// Those characters that are the same whatever stands before and behind, if it begins so many bytes into a group of three.
fn base64_at(bytes: &[u8], offset: usize, for_urls: bool) -> Vec<u8> {
    let shifted = [&[0, 0, 0][..offset], bytes].concat();
    let text = if for_urls { URL_SAFE_NO_PAD.encode(&shifted) } else { STANDARD_NO_PAD.encode(&shifted) };
    text.as_bytes()[(8 * offset).div_ceil(6)..8 * shifted.len() / 6].to_vec()
}

/// What is found of all needles, by name and form.
pub(crate) fn find(needles: &[Needle], haystack: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for needle in needles {
        for (form, bytes) in needle.forms() {
            if memmem::find(haystack, &bytes).is_some() {
                found.insert(format!("{}: {form}", needle.what));
            }
        }
    }
    found
}

/// All that could be found.
pub(crate) fn all(needles: &[Needle]) -> BTreeSet<String> {
    let names = |needle: &Needle| {
        let what = needle.what.clone();
        needle.forms().into_iter().map(move |(form, _)| format!("{what}: {form}"))
    };
    needles.iter().flat_map(names).collect()
}
