//! Powers of tau: what verifies, and what is said about what does not.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::io::Cursor;
use std::sync::LazyLock;

use support::{G1, assemble, beacon, circuit, key, person, powers, read_tau, sections, seed, swap, unprepared, with};
use xmtp_ceremony::{
    CannotContribute, Credit, InvalidTau, Malformed, NoSecret, NotPrepared, Part, ReadError, Tau, TauFault, Zkey,
    prepare,
};

/// Three contributions by people and one by a beacon, prepared.
static FILE: LazyLock<Vec<u8>> = LazyLock::new(powers);

const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const ALPHA_G1: u32 = 4;
const BETA_G1: u32 = 5;
const BETA_G2: u32 = 6;
const CONTRIBUTIONS: u32 = 7;
/// The fields of a contribution, in their order, and what is said of a change.
const FIELDS: [(&str, usize, TauFault); 14] = [
    ("τ in G1", G1, TauFault::Step("τ")),
    ("τ in G2", 2 * G1, TauFault::Step("τ")),
    ("α in G1", G1, TauFault::Step("α")),
    ("β in G1", G1, TauFault::Step("β")),
    ("β in G2", 2 * G1, TauFault::Step("β")),
    ("base of τ", G1, TauFault::Knowledge("τ")),
    ("multiple of τ", G1, TauFault::Knowledge("τ")),
    ("base of α", G1, TauFault::Knowledge("α")),
    ("multiple of α", G1, TauFault::Knowledge("α")),
    ("base of β", G1, TauFault::Knowledge("β")),
    ("multiple of β", G1, TauFault::Knowledge("β")),
    ("response of τ", 2 * G1, TauFault::Knowledge("τ")),
    ("response of α", 2 * G1, TauFault::Knowledge("α")),
    ("response of β", 2 * G1, TauFault::Knowledge("β")),
];
/// A contribution by somebody whose name has three letters.
const RECORD: usize = 3 * G1 + 2 * 2 * G1 + 6 * G1 + 3 * 2 * G1 + 216 + 64 + 4 + 4 + 2 + 3;

fn verify(file: &[u8]) -> Result<(), InvalidTau> {
    read_tau(file).unwrap().verify()
}

fn fault(file: &[u8]) -> Option<(usize, String, TauFault)> {
    match verify(file) {
        Err(InvalidTau::Contribution { number, name, fault }) => Some((number, name.to_string(), fault)),
        _ => None,
    }
}

fn record(number: usize) -> usize {
    4 + (number - 1) * RECORD
}

#[test]
fn three_contributors_and_a_beacon_verify() {
    verify(&FILE).unwrap();
    let tau = Tau::read(Cursor::new(&*FILE)).unwrap();
    let names: Vec<String> = tau.contributions().map(|(credit, _)| credit.name.to_string()).collect();
    assert_eq!(names, ["Ann", "Bob", "Cyd", "Dia"]);
    assert_eq!(prepare(&tau), *FILE);
}

#[test]
fn file_without_the_prepared_part_verifies_and_makes_no_key() {
    let tau = read_tau(&unprepared(3).to_bytes()).unwrap();
    tau.verify().unwrap();
    assert!(matches!(Zkey::initial(&circuit(), &tau), Err(NotPrepared::Unprepared)));
}

#[test]
fn powers_that_nobody_contributed_to() {
    assert!(matches!(verify(&Tau::new(3).unwrap().to_bytes()), Err(InvalidTau::NoSecret(NoSecret::Untouched))));
}

#[test]
fn powers_that_only_beacons_contributed_to() {
    let by_beacon =
        |tau: Tau| tau.contribute(Credit::beacon("Dia".parse().unwrap(), beacon()), &beacon().seed()).unwrap();
    let beacons = by_beacon(by_beacon(Tau::new(3).unwrap()));
    assert!(matches!(verify(&prepare(&beacons)), Err(InvalidTau::NoSecret(NoSecret::BeaconsOnly))));
    // One person, before them or after.
    verify(&beacons.contribute(person("Ann"), &seed()).unwrap().to_bytes()).unwrap();
    verify(&by_beacon(Tau::new(3).unwrap().contribute(person("Ann"), &seed()).unwrap()).to_bytes()).unwrap();
}

#[test]
fn each_part_of_each_contribution_is_named_when_it_was_tampered_with() {
    for number in 1..=2 {
        let mut at = record(number);
        for (field, length, expected) in &FIELDS {
            let other = at + RECORD;
            let file = with(&FILE, CONTRIBUTIONS, |section| swap(section, at..at + length, other));
            let name = ["Ann", "Bob"][number - 1].to_owned();
            assert_eq!(fault(&file), Some((number, name, *expected)), "{field} of {number}");
            at += length;
        }
    }
}

#[test]
fn hash_that_a_contribution_leaves_is_checked_by_the_next_one_and_by_the_powers() {
    let hash = |number: usize| record(number) + RECORD - 64 - 4 - 4 - 2 - 3;
    let file = with(&FILE, CONTRIBUTIONS, |section| section[hash(2)] ^= 1);
    assert_eq!(fault(&file), Some((3, "Cyd".to_owned(), TauFault::Knowledge("τ"))));
    let people = |change: &dyn Fn(&mut Vec<u8>)| {
        let tau = Tau::new(3).unwrap().contribute(person("Ann"), &seed()).unwrap();
        fault(&with(&tau.to_bytes(), CONTRIBUTIONS, change))
    };
    assert_eq!(people(&|section| section[hash(1)] ^= 1), Some((1, "Ann".to_owned(), TauFault::Hash)));
    // The challenge that the saved state holds.
    let saved = record(1) + RECORD - 216 - 64 - 4 - 4 - 2 - 3;
    assert_eq!(people(&|section| section[saved] ^= 1), Some((1, "Ann".to_owned(), TauFault::Hash)));
    assert_eq!(people(&|_| ()), None);
}

#[test]
fn contribution_that_says_falsely_that_it_is_a_beacon() {
    let credit = Credit::beacon("Eve".parse().unwrap(), beacon());
    let tau = unprepared(3).contribute(credit, &seed()).unwrap();
    assert!(matches!(tau.verify(), Err(InvalidTau::Contribution { number: 5, fault: TauFault::Beacon, .. })));
}

#[test]
fn contributions_in_another_order_or_one_taken_out() {
    let file = with(&FILE, CONTRIBUTIONS, |section| {
        let (first, second) = section[4..].split_at_mut(RECORD);
        first.swap_with_slice(&mut second[..RECORD]);
    });
    assert_eq!(fault(&file), Some((1, "Bob".to_owned(), TauFault::Knowledge("τ"))));
    let file = with(&FILE, CONTRIBUTIONS, |section| {
        section.drain(record(2)..record(3));
        section[..4].copy_from_slice(&3_u32.to_le_bytes());
    });
    assert_eq!(fault(&file), Some((2, "Cyd".to_owned(), TauFault::Knowledge("τ"))));
}

#[test]
fn powers_changed_after_the_last_contribution() {
    for (section, position, length, expected) in [
        (TAU_G1, 0, G1, Part::TauG1),
        (TAU_G1, 1, G1, Part::TauG1),
        (TAU_G1, 13, G1, Part::TauG1),
        (TAU_G2, 0, 2 * G1, Part::TauG2),
        (TAU_G2, 1, 2 * G1, Part::TauG2),
        (TAU_G2, 6, 2 * G1, Part::TauG2),
        (ALPHA_G1, 0, G1, Part::AlphaG1),
        (ALPHA_G1, 6, G1, Part::AlphaG1),
        (BETA_G1, 0, G1, Part::BetaG1),
        (BETA_G1, 6, G1, Part::BetaG1),
    ] {
        let at = position * length;
        let file = with(&FILE, section, |points| swap(points, at..at + length, at + length));
        let error = verify(&file).unwrap_err();
        assert!(
            matches!(&error, InvalidTau::Points(part, 4, _) if *part == expected),
            "{section}, {position}: {error}"
        );
    }
    let beta_g2 = sections(&FILE).into_iter().find(|(number, _)| *number == TAU_G2).unwrap().1[2 * G1..4 * G1].to_vec();
    let error = verify(&with(&FILE, BETA_G2, |point| point.copy_from_slice(&beta_g2))).unwrap_err();
    assert!(matches!(error, InvalidTau::Points(Part::BetaG2, 4, _)));
}

#[test]
fn prepared_part_that_does_not_follow() {
    // The largest domain of each section, and of τ in G1 the one before it, too.
    for (section, position, length, expected) in [
        (12, 8, G1, Part::TauG1),
        (12, 16, G1, Part::TauG1),
        (13, 8, 2 * G1, Part::TauG2),
        (14, 8, G1, Part::AlphaG1),
        (15, 8, G1, Part::BetaG1),
    ] {
        let at = position * length;
        let file = with(&FILE, section, |points| swap(points, at..at + length, at + length));
        let error = verify(&file).unwrap_err();
        assert!(matches!(error, InvalidTau::Prepared(part) if part == expected), "{section}: {error}");
    }
}

#[test]
fn larger_powers_serve_a_smaller_circuit_and_smaller_ones_do_not() {
    let large = prepare(&unprepared(5));
    let tau = read_tau(&large).unwrap();
    tau.verify().unwrap();
    key(&tau, &["Ann"]).verify(&circuit(), &tau).unwrap();
    assert!(matches!(tau.contribute(person("Ann"), &seed()), Err(CannotContribute::Truncated)));

    let small = prepare(&unprepared(2));
    assert!(matches!(read_tau(&small), Err(ReadError::Malformed(Malformed::Power(2)))));
    let tau = Tau::read(Cursor::new(&small)).unwrap();
    assert!(matches!(Zkey::initial(&circuit(), &tau), Err(NotPrepared::Power(2))));
    assert!(matches!(Tau::new(29), Err(Malformed::Power(29))));
}

/// What other tools' `truncate` leaves of the powers of 2^5: those of 2^3.
fn cut(file: &[u8]) -> Vec<u8> {
    let mut sections = sections(file);
    for (number, section) in &mut sections {
        // Of the prepared part the domains up to the last, which for τ in G1 is twice as large.
        let points = match *number {
            1 => {
                section[36..40].copy_from_slice(&3_u32.to_le_bytes());
                continue;
            }
            TAU_G1 => 15,
            TAU_G2 | ALPHA_G1 | BETA_G1 => 8,
            12 => 31,
            13..=15 => 15,
            _ => continue,
        };
        section.truncate(points * if matches!(*number, TAU_G2 | 13) { 2 * G1 } else { G1 });
    }
    assemble(b"ptau", &sections)
}

#[test]
fn file_cut_from_a_larger_ceremony() {
    let whole = prepare(&unprepared(5));
    let file = cut(&whole);
    let tau = Tau::read(Cursor::new(&file)).unwrap();
    assert_eq!(tau.power(), 3);
    tau.verify().unwrap();
    key(&tau, &["Ann"]).verify(&circuit(), &tau).unwrap();
    assert!(matches!(tau.contribute(person("Ann"), &seed()), Err(CannotContribute::Truncated)));

    // Its transcript and its points are checked as those of the whole are.
    let other = record(1) + RECORD;
    let tampered = with(&file, CONTRIBUTIONS, |section| swap(section, record(1)..record(1) + G1, other));
    assert_eq!(fault(&tampered), Some((1, "Ann".to_owned(), TauFault::Step("τ"))));
    let tampered = with(&file, TAU_G1, |points| swap(points, 13 * G1..14 * G1, 14 * G1));
    assert!(matches!(verify(&tampered), Err(InvalidTau::Points(Part::TauG1, 4, _))));
    let tampered = with(&file, 12, |points| swap(points, 16 * G1..17 * G1, 17 * G1));
    assert!(matches!(verify(&tampered), Err(InvalidTau::Prepared(Part::TauG1))));
    // The powers of one ceremony under the transcript of another.
    let others = cut(&prepare(&unprepared(5)));
    let contributions = sections(&others).into_iter().find(|(number, _)| *number == CONTRIBUTIONS).unwrap().1;
    let mixed = with(&file, CONTRIBUTIONS, |section| *section = contributions);
    assert!(matches!(verify(&mixed), Err(InvalidTau::Points(Part::TauG1, 4, _))));
    // A part is not larger than the whole.
    let header = |power: u32| with(&file, 1, |header| header[40..44].copy_from_slice(&power.to_le_bytes()));
    assert!(matches!(read_tau(&header(2)), Err(ReadError::Malformed(Malformed::Power(3)))));
    // The first contribution answers the powers of one as far as the ceremony went.
    assert_eq!(fault(&header(4)), Some((1, "Ann".to_owned(), TauFault::Knowledge("τ"))));
}

#[test]
fn file_cut_short_anywhere_or_with_more_behind_it_is_refused() {
    for length in (0..FILE.len()).step_by(31) {
        assert!(matches!(read_tau(&FILE[..length]), Err(ReadError::Malformed(_))), "{length} bytes");
    }
    let longer = [FILE.as_slice(), &[0]].concat();
    assert!(matches!(read_tau(&longer), Err(ReadError::Malformed(Malformed::Length))));
}

#[test]
fn another_curve_or_kind_of_file_is_refused() {
    let other = with(&FILE, 1, |header| header[4] ^= 1);
    assert!(matches!(read_tau(&other), Err(ReadError::Malformed(Malformed::Curve))));
    let other = assemble(b"zkey", &sections(&FILE));
    assert!(matches!(read_tau(&other), Err(ReadError::Malformed(Malformed::Kind))));
}
