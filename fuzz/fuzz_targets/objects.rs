//! Bytes as a history of objects of the Kubernetes API.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shunt_fuzz::objects(bytes));
