//! The histories that cargo-fuzz has left in `fuzz/corpus/packet`, through the same code as there.

use crate::mutated::history;
use std::{fs, path::Path};

#[test]
fn what_fuzzing_has_found_stays_found() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/packet");
    let mut seeds: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    for seed in seeds {
        // Told if the seed fails: a panic in it says nothing of its file.
        println!("{}", seed.display());
        history(&fs::read(&seed).unwrap());
    }
}
