//! The threat model names the tests that show each check: each row has some, and what it names is there.

#![allow(clippy::unwrap_used)] // A test may.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Not ours, or not written by hand.
const SKIPPED: &[&str] = &["target", "node_modules", ".git", "gen", "out", "cache"];
/// In the place of a test, where the protocol specifies what is not built yet.
const PLANNED: &str = "*planned*";

/// The names of all tests in Rust and Solidity below a folder.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                tests(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.extend(tests_in(&fs::read_to_string(&path).unwrap()));
        } else if name.ends_with(".t.sol") {
            let text = fs::read_to_string(&path).unwrap();
            let functions = text.split("function ").skip(1).filter_map(|it| it.split_once('(')).map(|(name, _)| name);
            found.extend(functions.filter(|name| name.starts_with("test")).map(str::to_owned));
        }
    }
}

/// Functions under an attribute that makes them tests; what else the attributes say may stand between the two.
fn tests_in(text: &str) -> Vec<String> {
    let (mut found, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, behind)) = line.split_once("fn ").filter(|_| is_test) {
            found.push(behind.split(['(', '<']).next().unwrap().to_owned());
            is_test = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            is_test = false;
        }
    }
    found
}

/// The rows of the tables of attacks: the attack, and what stands between backticks in the last column.
fn rows(model: &str) -> Vec<(&str, Vec<&str>, bool)> {
    let lines = model.lines().filter(|line| line.starts_with('|') && line.matches('|').count() == 5);
    let columns = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let rows = columns.filter(|row| row[0] != "attack" && !row[0].starts_with("---"));
    rows.map(|row| (row[0], row[3].split('`').skip(1).step_by(2).collect(), row[3].starts_with(PLANNED))).collect()
}

/// A test, a file of tests, or a command of `scripts` and what to play with it.
fn is_there(name: &str, tests: &BTreeSet<String>) -> bool {
    let (command, argument) =
        name.split_once(' ').map_or((name, None), |(command, argument)| (command, Some(argument)));
    if !command.starts_with("scripts/") {
        return tests.contains(name) || (name.contains("/tests/") && PathBuf::from(ROOT).join(name).is_file());
    }
    let text = fs::read_to_string(PathBuf::from(ROOT).join(command)).unwrap_or_default();
    // The script's own word for it stands at the beginning of a line, or among its cases.
    let is_known = |word: &str| {
        let is_case =
            |line: &str| line.split_once(')').is_some_and(|(cases, _)| cases.split('|').any(|it| it.trim() == word));
        text.lines().map(str::trim).any(|line| line.starts_with(&format!("{word}()")) || is_case(line))
    };
    !text.is_empty() && argument.is_none_or(|it| it.split_whitespace().next().is_none_or(is_known))
}

#[test]
fn every_attack_has_a_test_and_every_test_that_is_named_is_there() {
    let model = fs::read_to_string(PathBuf::from(ROOT).join("docs/threat-model.md")).unwrap();
    let (rows, mut all) = (rows(&model), BTreeSet::new());
    tests(Path::new(ROOT), &mut all);
    assert!(rows.len() > 100 && all.len() > 500, "{} rows and {} tests only", rows.len(), all.len());
    // A file alone does not say which of its tests.
    let shows = |name: &&str| all.contains(*name) || name.starts_with("scripts/");
    let untested = rows.iter().filter(|(_, names, planned)| !names.iter().any(shows) && !planned);
    let untested: Vec<_> = untested.map(|(attack, ..)| attack).collect();
    assert!(untested.is_empty(), "no test is named against: {untested:#?}");
    let named = rows.iter().flat_map(|(_, names, _)| names);
    let missing: Vec<_> = named.filter(|name| !is_there(name, &all)).collect();
    assert!(missing.is_empty(), "not there: {missing:#?}");
}

#[test]
fn what_is_not_there_or_is_no_test_is_noticed() {
    let mut all = BTreeSet::new();
    tests(Path::new(ROOT), &mut all);
    for (name, expected) in [
        ("what_is_not_there_or_is_no_test_is_noticed", true),
        ("test_slash_happensOnce", true),
        ("scripts/campaign flood", true),
        ("scripts/bench refusals", true),
        ("test_that_nobody_wrote", false),
        ("is_there", false),
        ("node/tests/threats.rs", true),
        ("node/tests/nothing.rs", false),
        ("proto", false),
        ("scripts/nothing", false),
        ("scripts/campaign nothing", false),
    ] {
        assert_eq!(is_there(name, &all), expected, "{name}");
    }
}
