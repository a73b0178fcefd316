//! Who may import whom inside the node (ARCHITECTURE.md, "Who may import whom"): a rule that is not tested is a wish.

#![allow(clippy::unwrap_used)] // A test may.

use std::fs;
use std::path::{Path, PathBuf};

/// A room and what it must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("validate", &["tokio", "tonic", "crate::api", "crate::ingest", "crate::config", "SystemTime"]),
    ("groups", &["tokio", "tonic", "alloy::providers", "crate::chain", "crate::store", "crate::api"]),
    ("chain", &["tonic", "crate::store", "crate::validate", "crate::ingest", "crate::api"]),
    ("store", &["tonic", "crate::api", "crate::ingest", "crate::validate", "crate::groups"]),
    ("members", &["tonic", "crate::api", "crate::ingest", "crate::validate", "crate::chain", "crate::config"]),
    ("claims", &["tonic", "crate::api", "crate::ingest", "crate::validate", "crate::chain", "crate::config"]),
    ("ingest", &["tonic", "crate::api"]),
    ("proving", &["tonic", "crate::api", "crate::ingest", "crate::chain", "crate::store", "crate::config"]),
    ("api", &["crate::config", "crate::node"]),
];

/// The only room that names the database.
const ENGINE: (&str, &str) = ("sled::", "store/embedded");

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found
}

/// Code without comments, as far as this test needs.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn rooms_name_only_what_is_below_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for path in files(&source) {
        let name = path.strip_prefix(&source).unwrap().with_extension("");
        let room = name.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let code = code(&path);
        let forbidden = FORBIDDEN.iter().filter(|(of, _)| *of == room).flat_map(|(_, names)| *names);
        for other in forbidden {
            assert!(!code.contains(other), "{} names {other}", path.display());
            checked += 1;
        }
        if code.contains(ENGINE.0) {
            assert!(name.starts_with(ENGINE.1), "{} names the database", path.display());
        }
    }
    assert!(checked > 50, "the test looks at nothing");
}
