//! The threat model names the test that shows each check: what it names is there.

#![allow(clippy::unwrap_used)] // A test may.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Not ours, or not written by hand.
const SKIPPED: &[&str] = &["target", "node_modules", ".git", "gen", "out", "cache"];

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") || name.ends_with(".t.sol") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// What stands between backticks in the last column of the tables of attacks.
fn named(model: &str) -> Vec<String> {
    let rows = model.lines().filter(|line| line.starts_with('|') && line.matches('|').count() == 5);
    let last = rows.map(|row| row.trim_end_matches('|').rsplit_once('|').unwrap().1.to_owned());
    last.flat_map(|column| column.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A file, a crate or a module in it, or a function.
fn is_there(name: &str, sources: &str) -> bool {
    let file = name.split_whitespace().next().unwrap();
    if file.contains('/') {
        return PathBuf::from(ROOT).join(file).exists();
    }
    if let Some((first, _)) = name.split_once("::") {
        return PathBuf::from(ROOT).join(first).join("src").is_dir();
    }
    let is_function = ["fn", "function"].iter().any(|kind| sources.contains(&format!("{kind} {name}(")));
    is_function || PathBuf::from(ROOT).join(name).join("src").is_dir()
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let model = fs::read_to_string(PathBuf::from(ROOT).join("docs/threat-model.md")).unwrap();
    let mut all = String::new();
    sources(Path::new(ROOT), &mut all);
    let named = named(&model);
    assert!(named.len() > 80, "{} names only", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !is_there(name, &all)).collect();
    assert!(missing.is_empty(), "not there: {missing:?}");
    assert!(!is_there("test_that_nobody_wrote", &all) && !is_there("node/tests/nothing.rs", &all));
}
