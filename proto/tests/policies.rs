//! The limits of policies and requirements, each at its edge and one beyond it (docs/protocol.md, "Requirements and policies").

#![allow(clippy::unwrap_used)] // A test may.

use std::collections::BTreeMap;

use prost::Message as _;
use xmtp_proto::derive::{ClaimId, NetworkId};
use xmtp_proto::policy::{MAX_BLOCKED_TAGS, MAX_BYTES, MAX_REVOKED_ATTESTATIONS, Policy, SignedPolicy};
use xmtp_proto::requirement::{MAX_DEPTH, MAX_NODES, MAX_TEXT_BYTES, Names, Requirement};
use xmtp_proto::wire::{self, requirement::Requirement as Kind};

/// The order of BN254's scalar field.
const MODULUS: [u8; 32] = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d, 0x28, 0x33, 0xe8,
    0x48, 0x79, 0xb9, 0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01,
];

fn text_of(text: &str) -> Result<(), String> {
    text.parse::<Requirement>().map(drop).map_err(|error| error.to_string())
}

fn nested(depth: usize) -> String {
    format!("{}member{}", "all(".repeat(depth - 1), ")".repeat(depth - 1))
}

/// With so many nodes.
fn wide(nodes: usize) -> String {
    format!("any({})", vec!["member"; nodes - 1].join(", "))
}

#[test]
fn limits_of_the_text() {
    let padded = |bytes: usize| format!("{:<bytes$}", "member");
    let claim = |digits: usize| format!("claim(0x{})", "a".repeat(digits));
    let id = "expected a claim's id (0x and 64 hexadecimal digits), or `any`, found";
    let rows: &[(&str, String, Result<(), String>)] = &[
        ("as deep as allowed", nested(MAX_DEPTH), Ok(())),
        ("deeper", nested(MAX_DEPTH + 1), Err("nested deeper than 8".to_owned())),
        ("as many parts as allowed", wide(MAX_NODES), Ok(())),
        ("one part more", wide(MAX_NODES + 1), Err("more than 64 parts".to_owned())),
        ("as long as allowed", padded(MAX_TEXT_BYTES), Ok(())),
        ("longer", padded(MAX_TEXT_BYTES + 1), Err("longer than 16384 bytes: 16385".to_owned())),
        ("the smallest stamp", "stamp(1)".to_owned(), Ok(())),
        ("none", "stamp(0)".to_owned(), Err("a stamp of at least 0 units asks for nothing: write all()".to_owned())),
        ("the largest stamp", "stamp(4294967295)".to_owned(), Ok(())),
        (
            "larger",
            "stamp(4294967296)".to_owned(),
            Err("at character 7: expected a number of units, found `4294967296)`".to_owned()),
        ),
        (
            "a negative one",
            "stamp(-1)".to_owned(),
            Err("at character 7: expected a number of units, found `-1)`".to_owned()),
        ),
        ("the largest tier", "stake(4294967295)".to_owned(), Ok(())),
        (
            "a larger tier",
            "stake(4294967296)".to_owned(),
            Err("at character 7: expected a tier's number, or `any`, found `4294967296)`".to_owned()),
        ),
        ("a claim's id", claim(64), Ok(())),
        ("a digit less", claim(63), Err(format!("at character 7: {id} `0x{}`", "a".repeat(22)))),
        ("a digit more", claim(65), Err(format!("at character 7: {id} `0x{}`", "a".repeat(22)))),
        (
            "an id that is none",
            format!("claim(0x{}g)", "a".repeat(63)),
            Err(format!("at character 7: {id} `0x{}`", "a".repeat(22))),
        ),
        ("no more than one", "member)".to_owned(), Err("at character 7: expected the end, found `)`".to_owned())),
    ];
    for (sentence, text, expected) in rows {
        assert_eq!(text_of(text), *expected, "{sentence}");
    }
}

#[test]
fn names_are_the_networks_and_no_others() {
    let id = ClaimId::from([7; 32]);
    let names = |count: usize| Names {
        claims: (0..count).map(|number| (format!("claim-{number}"), id)).collect(),
        tiers: BTreeMap::from([("silver".to_owned(), 2)]),
    };
    assert_eq!(names(1).read("claim(claim-0)"), Ok(Requirement::Claim(Some(id))));
    assert_eq!(names(1).read("stake(silver)"), Ok(Requirement::Stake(Some(2))));
    let unknown = |names: &Names, text: &str| names.read(text).unwrap_err().to_string();
    let few = unknown(&names(8), "claim(dogs)");
    assert!(few.ends_with("claim-6, claim-7), or `any`, found `dogs)`"), "{few}");
    // An error is no catalogue.
    let many = unknown(&names(9), "claim(dogs)");
    assert!(many.ends_with("claim-6, claim-7, …), or `any`, found `dogs)`"), "{many}");
    for text in ["claim(Claim-0)", "claim(silver)", "stake(claim-0)", "claim()", "stake()"] {
        assert!(names(1).read(text).is_err(), "{text}");
    }
}

/// A policy that breaks no limit.
fn policy() -> wire::Policy {
    wire::Policy {
        account: format!("eip155:1:0x{}", "11".repeat(20)),
        version: 1,
        requirement: Some(member()),
        blocked_tags: Vec::new(),
        revoked_attestations: Vec::new(),
    }
}

fn requirement(kind: Kind) -> wire::Requirement {
    wire::Requirement { requirement: Some(kind) }
}

fn member() -> wire::Requirement {
    requirement(Kind::Member(wire::MemberRequirement {}))
}

fn any_of(parts: Vec<wire::Requirement>) -> wire::Requirement {
    requirement(Kind::AnyOf(wire::Requirements { parts }))
}

fn nested_wire(depth: usize) -> wire::Requirement {
    (1..depth).fold(member(), |part, _| any_of(vec![part]))
}

fn asks(kind: wire::Requirement) -> impl Fn(&mut wire::Policy) {
    move |policy| policy.requirement = Some(kind.clone())
}

fn stamp(at_least: u32) -> wire::Requirement {
    requirement(Kind::Stamp(wire::StampRequirement { at_least, tagged: false }))
}

fn claim(bytes: usize) -> wire::Requirement {
    requirement(Kind::Claim(wire::ClaimRequirement { id: Some(vec![7; bytes]) }))
}

type Change = Box<dyn Fn(&mut wire::Policy)>;

#[test]
fn limits_of_the_encoding() {
    let blocked =
        |tags: usize, tag: Vec<u8>| -> Change { Box::new(move |it| it.blocked_tags = vec![tag.clone(); tags]) };
    let revoked = |hashes: usize, bytes: usize| -> Change {
        Box::new(move |it| it.revoked_attestations = vec![vec![3; bytes]; hashes])
    };
    let mut below = MODULUS;
    below[31] -= 1;
    let rows: Vec<(&str, Change, Result<(), &str>)> = vec![
        ("nothing but what must be", Box::new(|_| {}), Ok(())),
        ("version 0", Box::new(|it| it.version = 0), Err("version is 0, which does not exist")),
        ("the last version", Box::new(|it| it.version = u64::MAX), Ok(())),
        ("no requirement", Box::new(|it| it.requirement = None), Err("requirement is missing")),
        (
            "a requirement of no kind",
            Box::new(asks(wire::Requirement { requirement: None })),
            Err("requirement is missing"),
        ),
        ("as deep as allowed", Box::new(asks(nested_wire(MAX_DEPTH))), Ok(())),
        ("deeper", Box::new(asks(nested_wire(MAX_DEPTH + 1))), Err("requirement: nested deeper than 8")),
        ("as many parts as allowed", Box::new(asks(any_of(vec![member(); MAX_NODES - 1]))), Ok(())),
        ("one part more", Box::new(asks(any_of(vec![member(); MAX_NODES]))), Err("requirement: more than 64 parts")),
        (
            "one list with more parts",
            Box::new(asks(any_of(vec![member(); MAX_NODES + 1]))),
            Err("requirement: more than 64 parts"),
        ),
        ("the largest stamp", Box::new(asks(stamp(u32::MAX))), Ok(())),
        (
            "none",
            Box::new(asks(stamp(0))),
            Err("requirement: a stamp of at least 0 units asks for nothing: write all()"),
        ),
        ("a claim's id", Box::new(asks(claim(32))), Ok(())),
        ("a shorter one", Box::new(asks(claim(31))), Err("claim.id has 31 bytes instead of 32")),
        ("a longer one", Box::new(asks(claim(33))), Err("claim.id has 33 bytes instead of 32")),
        ("as many blocked tags as allowed", blocked(MAX_BLOCKED_TAGS, vec![1; 32]), Ok(())),
        (
            "one more",
            blocked(MAX_BLOCKED_TAGS + 1, vec![1; 32]),
            Err("blocked_tags is too large: 257, and at most 256 is allowed"),
        ),
        ("the largest tag", blocked(1, below.to_vec()), Ok(())),
        (
            "a larger tag",
            blocked(1, MODULUS.to_vec()),
            Err("blocked_tags is not a canonical field element: it is not below the order of BN254"),
        ),
        ("a shorter tag", blocked(1, vec![1; 31]), Err("blocked_tags has 31 bytes instead of 32")),
        ("as many revoked attestations as allowed", revoked(MAX_REVOKED_ATTESTATIONS, 32), Ok(())),
        (
            "one more revoked",
            revoked(MAX_REVOKED_ATTESTATIONS + 1, 32),
            Err("revoked_attestations is too large: 257, and at most 256 is allowed"),
        ),
        ("a longer hash", revoked(1, 33), Err("revoked_attestations has 33 bytes instead of 32")),
        (
            "a long account",
            Box::new(|it| it.account = "x".repeat(1_000)),
            Err("account is too large: 1000, and at most"),
        ),
    ];
    for (sentence, change, expected) in rows {
        let mut wire = policy();
        change(&mut wire);
        let got = Policy::try_from(wire).map(drop).map_err(|error| error.to_string());
        match (got, expected) {
            (Ok(()), Ok(())) => {}
            (Err(got), Err(expected)) => assert!(got.starts_with(expected), "{sentence}: {got}"),
            (got, expected) => panic!("{sentence}: {got:?} instead of {expected:?}"),
        }
    }
}

/// A policy of so many bytes: a later program's field, which this one does not know, fills them.
fn of_bytes(bytes: usize) -> Vec<u8> {
    let mut policy = policy().encode_to_vec();
    // Field 100, of bytes: two bytes of key; and two of length, for there are more than 127.
    let length = bytes - policy.len() - 4;
    policy.extend([0xa2, 0x06, (length % 128) as u8 | 0x80, (length / 128) as u8]);
    policy.extend(vec![0; length]);
    assert_eq!(policy.len(), bytes);
    policy
}

#[test]
fn limit_of_a_policys_size_holds_for_what_is_signed() {
    let signed = |policy: Vec<u8>| wire::SignedPolicy { policy, signature: vec![1; 64] }.encode_to_vec();
    let read = |bytes: &[u8]| SignedPolicy::from_bytes(bytes).map_err(|error| error.to_string());
    let whole = read(&signed(of_bytes(MAX_BYTES))).unwrap();
    assert_eq!(whole.to_bytes(), signed(of_bytes(MAX_BYTES)), "what was signed is kept, whatever it says");
    let larger = read(&signed(of_bytes(MAX_BYTES + 1))).unwrap_err();
    assert_eq!(larger, "policy is too large: 16385, and at most 16384 is allowed");
    let far = read(&vec![0; MAX_BYTES + 129]).unwrap_err();
    assert_eq!(far, "signed policy is too large: 16513, and at most 16512 is allowed");

    // As many tags and hashes as there may be are too many together.
    let mut both = policy();
    both.blocked_tags = vec![vec![1; 32]; MAX_BLOCKED_TAGS];
    both.revoked_attestations = vec![vec![3; 32]; MAX_REVOKED_ATTESTATIONS];
    let both = Policy::try_from(both).unwrap();
    let network = NetworkId([1; 32].into());
    let refused = SignedPolicy::new(network, both, |_| panic!("nobody signs this")).unwrap_err();
    assert!(refused.to_string().starts_with("policy is too large: "), "{refused}");
}
