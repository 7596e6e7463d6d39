//! The seeds that cargo-fuzz has left in `fuzz/corpus`, through the same code as there.
#![cfg(feature = "manifests")]
#![allow(clippy::unwrap_used, reason = "the harness is a test as a whole, but no #[test] function")]

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::{fs, path::Path};

/// Every file of `fuzz/corpus/<target>`, by name.
fn replay(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut seeds: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    for seed in seeds {
        // Told if the seed fails: a panic in it says nothing of its file.
        println!("{}", seed.display());
        run(&fs::read(&seed).unwrap());
    }
}

#[test]
fn whatever_a_manifest_holds_a_sound_service_is_served() {
    replay("manifests", fuzz::manifests);
}

#[test]
fn whatever_the_api_holds_a_sound_service_is_served() {
    replay("objects", fuzz::objects);
}
