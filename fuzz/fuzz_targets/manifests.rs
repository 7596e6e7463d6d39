//! Bytes as a manifest file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shunt_fuzz::manifests(bytes));
