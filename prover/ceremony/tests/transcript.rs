//! The circuit's phase: what verifies, and what is said about what does not.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::sync::LazyLock;

use support::{FIELDS, G1, beacon, circuit, key, person, powers, read_key, read_tau, rows, sections, seed, swap, with};
use xmtp_ceremony::{
    Circuit, Credit, Fault, InvalidZkey, Malformed, Name, NoKeys, NoSecret, Place, ReadError, Tau, Zkey,
};

static TAU: LazyLock<Tau> = LazyLock::new(|| read_tau(&powers()).unwrap());
/// A file after three contributions; their names have one length, so the records have, too.
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| key(&TAU, &NAMES).to_bytes(&circuit()));
const NAMES: [&str; 3] = ["Ann", "Bob", "Cyd"];

const CONTRIBUTIONS: u32 = 10;
/// The circuit's hash and how many contributions there are.
const HEAD: usize = 64 + 4;
/// A contribution: its fields, and kind, length, and a name of three letters.
const RECORD: usize = 5 * G1 + 64 + 4 + 4 + 2 + 3;

fn verify(file: &[u8]) -> Result<(), InvalidZkey> {
    read_key(file).unwrap().verify(&circuit(), &TAU)
}

/// What is wrong with the contributions once they were changed, where a contribution is what is wrong.
fn fault(change: impl FnOnce(&mut Vec<u8>)) -> Option<(usize, String, Fault)> {
    match verify(&with(&FILE, CONTRIBUTIONS, change)) {
        Err(InvalidZkey::Contribution { number, name, fault }) => Some((number, name.to_string(), fault)),
        _ => None,
    }
}

/// What is wrong with the key once a section was changed, where it is not as the last contribution left it.
fn last(section: u32, change: impl FnOnce(&mut Vec<u8>)) -> Option<(Place, usize, String)> {
    match verify(&with(&FILE, section, change)) {
        Err(InvalidZkey::Last { place, number, name }) => Some((place, number, name.to_string())),
        _ => None,
    }
}

fn record(number: usize) -> usize {
    HEAD + (number - 1) * RECORD
}

fn set_count(section: &mut [u8], count: u32) {
    section[64..68].copy_from_slice(&count.to_le_bytes());
}

#[test]
fn three_contributors_and_a_beacon_verify() {
    let key = key(&TAU, &NAMES).contribute(Credit::beacon("Dia".parse().unwrap(), beacon()), &beacon().seed());
    let file = key.to_bytes(&circuit());
    let read = read_key(&file).unwrap();
    read.verify(&circuit(), &TAU).unwrap();
    assert_eq!(read.to_bytes(&circuit()), file);
    let names: Vec<String> = read.contributions().map(|(credit, _)| credit.name.to_string()).collect();
    assert_eq!(names, ["Ann", "Bob", "Cyd", "Dia"]);
    assert_eq!(read.contributions().filter(|(credit, _)| credit.beacon.is_some()).count(), 1);
}

#[test]
fn each_part_of_each_contribution_is_named_when_it_was_tampered_with() {
    for number in 1..=3 {
        let mut at = record(number);
        for (field, length) in FIELDS {
            let other = record(number % 3 + 1) + at - record(number);
            let found = fault(|section| swap(section, at..at + length, other));
            let expected = match field {
                "delta" => Fault::Step,
                "response" => Fault::Knowledge,
                _ => Fault::Transcript,
            };
            assert_eq!(found, Some((number, NAMES[number - 1].to_owned(), expected)), "{field} of {number}");
            at += length;
        }
    }
}

#[test]
fn contribution_that_says_falsely_that_it_is_a_beacon() {
    let credit = Credit::beacon("Eve".parse().unwrap(), beacon());
    let error = key(&TAU, &["Ann"]).contribute(credit, &seed()).verify(&circuit(), &TAU).unwrap_err();
    assert_eq!(error.to_string(), "contribution 2 (Eve) is not the beacon that it says it is");
}

#[test]
fn contributions_in_another_order() {
    let swapped = |section: &mut Vec<u8>| {
        let (first, second) = section[HEAD..].split_at_mut(RECORD);
        first.swap_with_slice(&mut second[..RECORD]);
    };
    assert_eq!(fault(swapped), Some((1, "Bob".to_owned(), Fault::Transcript)));
}

#[test]
fn contribution_taken_out() {
    let without = |number: usize| {
        move |section: &mut Vec<u8>| {
            section.drain(record(number)..record(number) + RECORD);
            set_count(section, 2);
        }
    };
    assert_eq!(fault(without(1)), Some((1, "Bob".to_owned(), Fault::Transcript)));
    assert_eq!(fault(without(2)), Some((2, "Cyd".to_owned(), Fault::Transcript)));
    assert_eq!(last(CONTRIBUTIONS, without(3)), Some((Place::Delta, 2, "Bob".to_owned())));
}

#[test]
fn contribution_twice() {
    let twice = |section: &mut Vec<u8>| {
        let record = section[record(3)..].to_vec();
        section.extend(record);
        set_count(section, 4);
    };
    assert_eq!(fault(twice), Some((4, "Cyd".to_owned(), Fault::Transcript)));
}

#[test]
fn points_changed_after_the_last_contribution() {
    let cyd = |place| Some((place, 3, "Cyd".to_owned()));
    // δ of the header: in G1 the one before the last point, in G2 the last.
    let delta_g1 = |header: &mut Vec<u8>| header.copy_within(84..84 + G1, 84 + 6 * G1);
    assert_eq!(last(2, delta_g1), cyd(Place::Delta));
    let delta_g2 = |header: &mut Vec<u8>| header.copy_within(84 + 2 * G1..84 + 4 * G1, 84 + 7 * G1);
    assert_eq!(last(2, delta_g2), cyd(Place::Delta));
    assert_eq!(last(8, |points| swap(points, 0..G1, G1)), cyd(Place::Private));
    assert_eq!(last(9, |points| swap(points, 0..G1, G1)), cyd(Place::Quotient));
}

#[test]
fn key_that_nobody_contributed_to() {
    let initial = key(&TAU, &[]);
    assert!(matches!(initial.verify(&circuit(), &TAU), Err(InvalidZkey::NoSecret(NoSecret::Untouched))));
    assert!(matches!(initial.keys(), Err(NoKeys::NoSecret(NoSecret::Untouched))));
    let spoilt = with(&initial.to_bytes(&circuit()), 8, |points| swap(points, 0..G1, G1));
    assert!(matches!(verify(&spoilt), Err(InvalidZkey::Initial(Place::Private))));
}

#[test]
fn key_that_only_beacons_contributed_to() {
    let by_beacon = |key: Zkey| key.contribute(Credit::beacon("Dia".parse().unwrap(), beacon()), &beacon().seed());
    let beacons = by_beacon(by_beacon(key(&TAU, &[])));
    assert!(matches!(beacons.verify(&circuit(), &TAU), Err(InvalidZkey::NoSecret(NoSecret::BeaconsOnly))));
    assert!(matches!(beacons.keys(), Err(NoKeys::NoSecret(NoSecret::BeaconsOnly))));
    let spoilt = with(&beacons.to_bytes(&circuit()), 8, |points| swap(points, 0..G1, G1));
    assert!(matches!(verify(&spoilt), Err(InvalidZkey::Last { place: Place::Private, number: 2, .. })));
    // One person, before them or after.
    beacons.contribute(person("Ann"), &seed()).verify(&circuit(), &TAU).unwrap();
    by_beacon(key(&TAU, &["Ann"])).verify(&circuit(), &TAU).unwrap();
}

#[test]
fn parts_that_no_contribution_touches() {
    let place = |section: u32, change: &dyn Fn(&mut Vec<u8>)| match verify(&with(&FILE, section, change)) {
        Err(InvalidZkey::OtherCircuit(place)) => Some(place),
        _ => None,
    };
    assert_eq!(place(2, &|header| swap(header, 84..84 + G1, 84 + G1)), Some(Place::Constants));
    assert_eq!(place(3, &|points| swap(points, 0..G1, G1)), Some(Place::Inputs));
    assert_eq!(place(5, &|points| swap(points, 0..G1, 2 * G1)), Some(Place::A));
    assert_eq!(place(6, &|points| swap(points, 0..G1, 2 * G1)), Some(Place::BG1));
    assert_eq!(place(7, &|points| swap(points, 0..2 * G1, 4 * G1)), Some(Place::BG2));
    assert_eq!(place(CONTRIBUTIONS, &|section| section[0] ^= 1), Some(Place::Hash));
}

#[test]
fn another_circuit_of_the_same_shape() {
    let other = Circuit::read(&rows(6)).unwrap();
    assert!(matches!(
        Zkey::read(std::io::Cursor::new(&*FILE), &other),
        Err(ReadError::Malformed(Malformed::Content(4)))
    ));
    assert!(matches!(
        read_key(&FILE).unwrap().verify(&other, &TAU),
        Err(InvalidZkey::OtherCircuit(Place::Inputs | Place::A))
    ));
    let pass = Zkey::read(std::io::Cursor::new(&*FILE), &Circuit::pass());
    assert!(matches!(pass, Err(ReadError::Malformed(Malformed::Content(2)))));
}

#[test]
fn other_powers_of_tau() {
    let other = read_tau(&powers()).unwrap();
    let error = read_key(&FILE).unwrap().verify(&circuit(), &other).unwrap_err();
    assert!(matches!(error, InvalidZkey::OtherCircuit(Place::Constants)));
}

#[test]
fn file_cut_short_anywhere_or_with_more_behind_it_is_refused() {
    for length in (0..FILE.len()).step_by(7) {
        assert!(matches!(read_key(&FILE[..length]), Err(ReadError::Malformed(_))), "{length} bytes");
    }
    let longer = [FILE.as_slice(), &[0]].concat();
    assert!(matches!(read_key(&longer), Err(ReadError::Malformed(Malformed::Length))));
}

#[test]
fn section_that_lies_about_its_length_is_refused_without_making_room_for_it() {
    for lie in [u64::MAX, u64::MAX - 24, 1 << 40] {
        let mut file = FILE.clone();
        file[16..24].copy_from_slice(&lie.to_le_bytes());
        assert!(matches!(read_key(&file), Err(ReadError::Malformed(Malformed::Length))), "{lie}");
    }
    let more = with(&FILE, CONTRIBUTIONS, |section| set_count(section, u32::MAX));
    assert!(matches!(read_key(&more), Err(ReadError::Malformed(Malformed::Contribution(4)))));
}

#[test]
fn section_missing_twice_or_of_another_length_is_refused() {
    for (number, _) in sections(&FILE) {
        let mut others = sections(&FILE);
        others.retain(|(other, _)| *other != number);
        let error = read_key(&support::assemble(b"zkey", &others)).err().unwrap();
        assert!(matches!(error, ReadError::Malformed(Malformed::Missing(it)) if it == number), "{number}: {error}");
        let mut twice = sections(&FILE);
        twice.push((number, Vec::new()));
        let error = read_key(&support::assemble(b"zkey", &twice)).err().unwrap();
        assert!(matches!(error, ReadError::Malformed(Malformed::Twice(it)) if it == number), "{number}: {error}");
        let longer = with(&FILE, number, |section| section.push(0));
        assert!(matches!(read_key(&longer), Err(ReadError::Malformed(_))), "{number}");
    }
}

#[test]
fn points_off_the_curve_or_beyond_the_modulus_are_refused() {
    let off = with(&FILE, 8, |points| points[G1] ^= 1);
    assert!(matches!(read_key(&off), Err(ReadError::Malformed(Malformed::Point { section: 8, position: 1 }))));
    // Coordinates that are not below the modulus.
    let long = with(&FILE, 8, |points| points[..32].fill(0xff));
    assert!(matches!(read_key(&long), Err(ReadError::Malformed(Malformed::Point { section: 8, position: 0 }))));
}

#[test]
fn names_are_short_printable_and_shown_without_their_controls() {
    let long = "x".repeat(65);
    for name in ["", "bell\u{7}", "line\nline", &long] {
        assert!(name.parse::<Name>().is_err(), "{name:?}");
    }
    "Zoë 🦉".parse::<Name>().unwrap();
    // Another tool may write what ours refuses.
    let renamed =
        with(&FILE, CONTRIBUTIONS, |section| section[record(2) + RECORD - 3..][..3].copy_from_slice(b"\x1b[m"));
    let key = read_key(&renamed).unwrap();
    let names: Vec<String> = key.contributions().map(|(credit, _)| credit.name.to_string()).collect();
    assert_eq!(names[1], "\\u{1b}[m");
    // No hash covers a name.
    key.verify(&circuit(), &TAU).unwrap();
    assert_eq!(person("Ann").name.to_string(), "Ann");
}
