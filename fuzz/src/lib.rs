//! What the fuzz targets do with their bytes. Also a module of `proxy-user/tests/fuzz_seeds.rs`, which
//! replays the committed seeds without cargo-fuzz; so paths in here are relative, and only what both
//! crates depend on is used.
//!
//! ```text
//! bytes ──manifests──▶ files ──▶ ManifestSet ──┐
//!   └────objects──▶ generate ──▶ conversion ───┴──events──▶ agent ──▶ rules, sound
//! ```

mod agent;
mod bytes;
mod generate;
mod manifests;
mod objects;
mod rules;
mod sound;
mod warning;

pub use manifests::manifests;
pub use objects::objects;
