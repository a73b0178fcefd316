//! A circuit of three rows, so that a ceremony takes milliseconds; and files taken apart to be spoilt.

#![allow(dead_code)] // Each test binary uses its part.

use std::io::Cursor;
use std::ops::Range;

use xmtp_ceremony::{Beacon, Circuit, Credit, ReadError, Seed, Tau, Zkey, prepare};

/// Bytes of a point of G1; one of G2 has twice as many.
pub(crate) const G1: usize = 64;
/// The fields of a contribution to the circuit's phase, in their order.
pub(crate) const FIELDS: [(&str, usize); 5] =
    [("delta", G1), ("base", G1), ("times", G1), ("response", 2 * G1), ("transcript", 64)];

/// BN254's order of G1, little-endian.
const MODULUS: &str = "010000f093f5e1439170b97948e833285d588181b64550b829a031e1724e6430";

/// `a · a = b`, `b · a = c`, `(factor · a + c) · 1 = y`; y is public.
pub(crate) fn rows(factor: u8) -> Vec<u8> {
    let [one, y, a, b, c] = [0, 1, 2, 3, 4_u32];
    let rows: [[&[(u8, u32)]; 3]; 3] = [
        [&[(1, a)], &[(1, a)], &[(1, b)]],
        [&[(1, b)], &[(1, a)], &[(1, c)]],
        [&[(factor, a), (1, c)], &[(1, one)], &[(1, y)]],
    ];
    let mut constraints = Vec::new();
    for terms in rows.as_flattened() {
        constraints.extend((terms.len() as u32).to_le_bytes());
        for (coefficient, variable) in *terms {
            constraints.extend(variable.to_le_bytes());
            constraints.push(*coefficient);
            constraints.extend([0; 31]);
        }
    }
    let mut header = 32_u32.to_le_bytes().to_vec();
    header.extend(hex::decode(MODULUS).unwrap());
    header.extend([5, 0, 1, 0_u32].into_iter().flat_map(u32::to_le_bytes)); // variables; outputs, public, private inputs
    header.extend(5_u64.to_le_bytes());
    header.extend(3_u32.to_le_bytes());
    let labels: Vec<u8> = (0..5_u64).flat_map(u64::to_le_bytes).collect();
    assemble(b"r1cs", &[(1, header), (2, constraints), (3, labels)])
}

pub(crate) fn circuit() -> Circuit {
    Circuit::read(&rows(5)).unwrap()
}

pub(crate) fn person(name: &str) -> Credit {
    Credit::person(name.parse().unwrap())
}

pub(crate) fn seed() -> Seed {
    Seed::fresh(b"monkeys at typewriters").unwrap()
}

pub(crate) fn beacon() -> Beacon {
    Beacon::new(vec![7; 32], 10).unwrap()
}

/// Powers of tau that three people contributed to, and a beacon.
pub(crate) fn unprepared(power: u32) -> Tau {
    let tau = ["Ann", "Bob", "Cyd"]
        .into_iter()
        .fold(Tau::new(power).unwrap(), |tau, name| tau.contribute(person(name), &seed()).unwrap());
    tau.contribute(Credit::beacon("Dia".parse().unwrap(), beacon()), &beacon().seed()).unwrap()
}

/// The same, prepared.
pub(crate) fn powers() -> Vec<u8> {
    prepare(&unprepared(3))
}

pub(crate) fn read_tau(bytes: &[u8]) -> Result<Tau, ReadError> {
    Tau::read_up_to(Cursor::new(bytes), 3)
}

pub(crate) fn read_key(bytes: &[u8]) -> Result<Zkey, ReadError> {
    Zkey::read(Cursor::new(bytes), &circuit())
}

/// A key that these people contributed to, one after another.
pub(crate) fn key(tau: &Tau, names: &[&str]) -> Zkey {
    let initial = Zkey::initial(&circuit(), tau).unwrap();
    names.iter().fold(initial, |key, name| key.contribute(person(name), &seed()))
}

pub(crate) type Sections = Vec<(u32, Vec<u8>)>;

pub(crate) fn sections(file: &[u8]) -> Sections {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut at = 12;
    (0..number(8))
        .map(|_| {
            let length = u64::from_le_bytes(file[at + 4..at + 12].try_into().unwrap()) as usize;
            let section = (number(at), file[at + 12..at + 12 + length].to_vec());
            at += 12 + length;
            section
        })
        .collect()
}

pub(crate) fn assemble(magic: &[u8; 4], sections: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = magic.to_vec();
    file.extend([1, sections.len() as u32].into_iter().flat_map(u32::to_le_bytes));
    for (number, section) in sections {
        file.extend(number.to_le_bytes());
        file.extend((section.len() as u64).to_le_bytes());
        file.extend(section);
    }
    file
}

/// The file with one section changed.
pub(crate) fn with(file: &[u8], section: u32, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut sections = sections(file);
    change(&mut sections.iter_mut().find(|(number, _)| *number == section).unwrap().1);
    assemble(file[..4].try_into().unwrap(), &sections)
}

/// Puts other valid bytes of the same kind in the place of some: those of the same field one contribution on, or back.
pub(crate) fn swap(bytes: &mut [u8], one: Range<usize>, other: usize) {
    bytes.copy_within(other..other + one.len(), one.start);
}
