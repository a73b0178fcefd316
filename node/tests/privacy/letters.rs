//! What letters have in common, and should not if they are of one sender to two recipients.

use std::collections::BTreeSet;

use xmtp_proto::field::{FieldElement, Root};
use xmtp_proto::pass::{Claim, Connection, Issuer, Member, Owner, Pass, Posting, Proof, Stake, Stamp};
use xmtp_proto::submission::Submission;

/// Two things that say the same in so many bytes were not drawn apart from each other.
const WINDOW: usize = 8;

/// A letter, and on which connection it came.
pub(crate) type Letter = (usize, Submission);

/// What two letters have in common that letters of different senders have not: a connection, a root that is in none of the
/// others', any eight bytes of their ciphertexts and of what their passes prove or sign.
pub(crate) fn in_common(first: &Letter, second: &Letter, others: &[Letter]) -> Vec<String> {
    let mut common = Vec::new();
    if first.0 == second.0 {
        common.push("a connection".to_owned());
    }
    let roots = |(_, it): &Letter| proofs(it).map(|proof| proof.root).collect::<BTreeSet<Root>>();
    let anybodys: BTreeSet<Root> = others.iter().flat_map(roots).collect();
    let shared = roots(first).intersection(&roots(second)).copied().collect::<BTreeSet<_>>();
    common.extend(shared.difference(&anybodys).map(|root| format!("the root {root:?}, which nobody else chose")));
    let windows = |(_, it): &Letter| -> BTreeSet<Vec<u8>> {
        own_bytes(it).iter().flat_map(|bytes| bytes.windows(WINDOW).map(<[u8]>::to_vec)).collect()
    };
    common.extend(windows(first).intersection(&windows(second)).map(|bytes| format!("the bytes {bytes:02x?}")));
    common
}

fn proofs(submission: &Submission) -> impl Iterator<Item = &Proof> {
    submission.passes().iter().filter_map(|pass| match pass {
        Pass::Stamp(Stamp { proof, .. })
        | Pass::Stake(Stake { proof, .. })
        | Pass::Claim(Claim { proof, .. })
        | Pass::Member(Member { proof, .. }) => Some(proof),
        Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => None,
    })
}

/// All of a letter that is its own. What is left out says of which group somebody is, or on which day, and of each there are
/// many; the terms of a connection are its recipient's.
fn own_bytes(submission: &Submission) -> Vec<Vec<u8>> {
    let mut all = vec![submission.envelope().ciphertext.clone()];
    for pass in submission.passes() {
        match pass {
            Pass::Stamp(Stamp { denomination: _, issue: _, proof, nonce }) => {
                all.extend(proven(proof));
                all.extend(nonce.map(|nonce| nonce.as_bytes().to_vec()));
            }
            Pass::Stake(Stake { tier: _, epoch: _, proof })
            | Pass::Claim(Claim { id: _, generation: _, epoch: _, proof })
            | Pass::Member(Member { operator: _, generation: _, epoch: _, proof }) => all.extend(proven(proof)),
            Pass::Connection(Connection { holder, quota: _, expires_at: _, attestation, signature }) => {
                all.extend([holder.to_vec(), attestation.to_vec(), signature.to_vec()]);
            }
            Pass::Posting(Posting { key, signature }) => all.extend([key.to_vec(), signature.to_vec()]),
            Pass::Owner(Owner { signature }) => all.push(signature.to_vec()),
            Pass::Issuer(Issuer { issuer, signature }) => all.extend([issuer.to_vec(), signature.to_vec()]),
        }
    }
    all
}

fn proven(proof: &Proof) -> [Vec<u8>; 4] {
    // The root is looked at by itself.
    let Proof { root: _, nullifier, share, tag, points } = proof;
    [nullifier.as_bytes().to_vec(), share.as_bytes().to_vec(), tag.as_bytes().to_vec(), points.to_vec()]
}

/// The control: whatever of one letter is put into the other is found to be in both.
///
/// # Panics
/// If it is not.
pub(crate) fn require_found_if_shared(first: &Letter, second: &Letter, others: &[Letter]) {
    let found = |first: &Letter, second: &Letter| !in_common(first, second, others).is_empty();
    assert!(found(first, &(first.0, second.1.clone())), "one connection");
    let with = |letter: &Letter, passes| (letter.0, Submission::new(letter.1.envelope().clone(), passes).unwrap());
    let passes = |letter: &Letter| letter.1.passes().to_vec();
    for (number, pass) in first.1.passes().iter().enumerate() {
        for (sentence, mine, theirs) in copies(pass, &second.1.passes()[number]) {
            let [mut one, mut other] = [passes(first), passes(second)];
            (one[number], other[number]) = (mine, theirs);
            assert!(found(&with(first, one), &with(second, other)), "{sentence}");
        }
    }
}

/// Two passes of one kind, each time with one thing in common.
fn copies(first: &Pass, second: &Pass) -> Vec<(&'static str, Pass, Pass)> {
    let mut copies = Vec::new();
    let mut put = |sentence, change: &dyn Fn(&mut Pass, &mut Pass)| {
        let (mut one, mut other) = (first.clone(), second.clone());
        change(&mut one, &mut other);
        copies.push((sentence, one, other));
    };
    if let Pass::Connection(_) = first {
        let change = |change: fn(&mut Connection, &mut Connection)| {
            move |one: &mut Pass, other: &mut Pass| {
                let (Pass::Connection(one), Pass::Connection(other)) = (one, other) else { panic!("another kind") };
                change(one, other);
            }
        };
        put("a holder's key", &change(|one, other| other.holder = one.holder));
        put("an attestation", &change(|one, other| other.attestation = one.attestation));
        put("a signature", &change(|one, other| other.signature = one.signature));
    } else {
        let change = |change: fn(&mut Proof, &mut Proof)| {
            move |one: &mut Pass, other: &mut Pass| change(proof(one), proof(other))
        };
        // Of their own, so that it is nobody else's.
        put("a root", &change(|one, other| (one.root, other.root) = (own_root(), own_root())));
        put("a tag", &change(|one, other| other.tag = one.tag));
        put("a nullifier", &change(|one, other| other.nullifier = one.nullifier));
        put("a share", &change(|one, other| other.share = one.share));
        put("a proof's points", &change(|one, other| other.points = one.points));
    }
    copies
}

fn own_root() -> Root {
    FieldElement::from(7).into()
}

fn proof(pass: &mut Pass) -> &mut Proof {
    match pass {
        Pass::Stamp(Stamp { proof, .. })
        | Pass::Stake(Stake { proof, .. })
        | Pass::Claim(Claim { proof, .. })
        | Pass::Member(Member { proof, .. }) => proof,
        Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => panic!("no proof"),
    }
}
