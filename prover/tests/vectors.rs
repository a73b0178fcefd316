//! Values of passes and trees against vectors that were written from the definition, in another language.

#![allow(clippy::unwrap_used, reason = "functions beside the tests")]

use alloy_primitives::{B256, hex};
use serde_json::Value;
use xmtp_proto::field::FieldElement;
use xmtp_prover::{Group, Index, Limit, PassSecret, leaf};

fn element(value: &Value) -> FieldElement {
    let bytes: B256 = value.as_str().unwrap().parse().unwrap();
    FieldElement::from_be_bytes(bytes.0).unwrap()
}

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn passes_have_the_values_that_the_definition_gives() {
    let vectors = vectors(include_str!("../../testdata/vectors/pass.json"));
    for pass in vectors["passes"].as_array().unwrap() {
        let wide = hex::decode_to_array(pass["wide"].as_str().unwrap()).unwrap();
        let secret = PassSecret::from_wide_bytes(&wide).unwrap();
        let limit = Limit::new(pass["limit"].as_u64().unwrap().try_into().unwrap()).unwrap();
        let index = Index::new(pass["index"].as_u64().unwrap().try_into().unwrap());
        let external_nullifier = element(&pass["external_nullifier"]).into();
        let commitment = secret.commitment();
        assert_eq!(*secret.to_be_bytes(), element(&pass["secret"]).to_be_bytes());
        assert_eq!(commitment.field(), element(&pass["commitment"]));
        assert_eq!(leaf(commitment, limit).field(), element(&pass["leaf"]));
        let share = secret.share(external_nullifier, index, element(&pass["signal"]).into());
        assert_eq!(share.field(), element(&pass["share"]));
        assert_eq!(secret.nullifier(external_nullifier, index).field(), element(&pass["nullifier"]));
        assert_eq!(secret.tag(element(&pass["scope"]).into()).field(), element(&pass["tag"]));
    }
}

#[test]
fn volumes_have_the_roots_that_the_definition_gives() {
    let vectors = vectors(include_str!("../../testdata/vectors/tree.json"));
    for volume in vectors["volumes"].as_array().unwrap() {
        let leaves: Vec<FieldElement> = volume["leaves"].as_array().unwrap().iter().map(element).collect();
        let root = element(&volume["root"]);
        if leaves.is_empty() {
            assert_eq!(root, element(&vectors["empty"][7]));
            continue;
        }
        let mut at_once = Group::new();
        at_once.extend(leaves.iter().map(|leaf| (*leaf).into()));
        let mut one_by_one = Group::new();
        for leaf in leaves {
            one_by_one.append(leaf.into());
        }
        for group in [at_once, one_by_one] {
            assert_eq!(group.root(0).unwrap().field(), root);
            assert_eq!(group.bucket(&group.checkpoint(), 0, 0).unwrap().root().field(), root);
        }
    }
}
