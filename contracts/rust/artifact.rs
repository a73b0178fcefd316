//! Creation bytecode from the checked-in artifacts, linked and with constructor arguments.

use std::collections::BTreeMap;

use alloy::primitives::{Address, Bytes, hex};
use serde::Deserialize;

pub(crate) const CLAIMS: &str = include_str!("../artifacts/Claims.json");
pub(crate) const POSEIDON: &str = include_str!("../artifacts/PoseidonT2.json");
pub(crate) const POSTAGE: &str = include_str!("../artifacts/Postage.json");
pub(crate) const STAKE: &str = include_str!("../artifacts/Stake.json");
pub(crate) const TOKEN: &str = include_str!("../artifacts/XmtpToken.json");

/// An artifact of this very build is not what `contracts/build` writes: a mistake in the tree, never the caller's.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is not JSON of the expected shape.
    #[error("artifact: {0}")]
    Shape(#[from] serde_json::Error),
    /// Its bytecode is not hex, or a library in it was not given.
    #[error("artifact: bytecode: {0}")]
    Bytecode(#[from] hex::FromHexError),
    /// A library's place lies outside the bytecode.
    #[error("artifact: a library is linked outside the bytecode")]
    Link,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    bytecode: String,
    /// By file, by library: where its address goes.
    link_references: BTreeMap<String, BTreeMap<String, Vec<Place>>>,
}

#[derive(Deserialize)]
struct Place {
    /// In bytes of code.
    start: usize,
    length: usize,
}

/// Creation code of `artifact`, with `library`'s address wherever a library is linked, and `arguments` behind it.
pub(crate) fn creation_code(
    artifact: &str,
    library: Option<Address>,
    arguments: &[u8],
) -> Result<Bytes, ArtifactError> {
    let Artifact { mut bytecode, link_references } = serde_json::from_str(artifact)?;
    if let Some(library) = library {
        for place in link_references.into_values().flat_map(BTreeMap::into_values).flatten() {
            let start = 2 + 2 * place.start; // behind `0x`
            let range = start..start + 2 * place.length;
            if place.length != Address::len_bytes() || bytecode.get(range.clone()).is_none() {
                return Err(ArtifactError::Link);
            }
            bytecode.replace_range(range, &hex::encode(library));
        }
    }
    let mut code = hex::decode(bytecode)?;
    code.extend_from_slice(arguments);
    Ok(code.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slashes_links_one_library() {
        let library = Address::repeat_byte(0xab);
        for artifact in [POSTAGE, STAKE] {
            let code = creation_code(artifact, Some(library), &[]).unwrap();
            assert_eq!(code.windows(20).filter(|it| *it == library.as_slice()).count(), 1);
        }
    }

    #[test]
    fn what_slashes_is_refused_without_its_library() {
        for artifact in [POSTAGE, STAKE] {
            assert!(matches!(creation_code(artifact, None, &[]), Err(ArtifactError::Bytecode(_))));
        }
    }

    #[test]
    fn a_library_outside_the_bytecode_is_refused() {
        let artifact = r#"{"bytecode":"0x00","linkReferences":{"f":{"L":[{"start":7,"length":20}]}}}"#;
        assert!(matches!(creation_code(artifact, Some(Address::ZERO), &[]), Err(ArtifactError::Link)));
    }

    #[test]
    fn arguments_follow_the_code() {
        let code = creation_code(TOKEN, None, &[7; 32]).unwrap();
        assert_eq!(code[code.len() - 32..], [7; 32]);
    }
}
