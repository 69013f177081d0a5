//! The promises of the documents on security, as far as files can prove them.
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// The top level of the project.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All files below `folder` whose names end like this, except builds and hidden files.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.append(&mut files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn unsafe_code_is_forbidden_in_every_package() {
    let manifests = files(Path::new(ROOT), "Cargo.toml");
    assert!(manifests.len() >= 5, "{manifests:?}");
    for manifest in manifests {
        let text = fs::read_to_string(&manifest).expect("text");
        let has = |lines: &str| text.contains(&format!("\n{lines}\n"));
        let forbids = has("unsafe_code = \"forbid\"");
        let inherits = has("[lints]\nworkspace = true") && (forbids || !has("[workspace]"));
        assert!(inherits || forbids && has("[lints.rust]"), "{} does not forbid it", manifest.display());
    }
}

#[test]
fn every_test_that_a_document_names_exists() {
    let name = Regex::new(r"\b([a-z]+/[\w/-]+\.rs)::(\w+)").expect("an expression");
    let mut named = 0;
    for document in files(Path::new(ROOT), ".md") {
        let text = fs::read_to_string(&document).expect("text");
        for found in name.captures_iter(&text) {
            let (whole, file, test) = (&found[0], &found[1], &found[2]);
            let code = fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
            let is_there = Regex::new(&format!(r"#\[test\]\s+fn {test}\(")).expect("an expression").is_match(&code);
            assert!(is_there, "{} names {whole}, which is no test", document.display());
            named += 1;
        }
    }
    assert!(named >= 40, "docs/security.md alone names more than {named}");
}
