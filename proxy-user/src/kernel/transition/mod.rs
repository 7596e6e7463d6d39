//! From one set of maps to the next without a gap: larger ones, or those of another version.
//!
//! The new maps are made in a directory of their own ([`instance`]) and filled; its renaming is the point from which on
//! there is no way back. Then programs over them take the places of those that run ([`steps`]). Where the maps that
//! programs write are new too, *bridging* programs come first (global BRIDGE of the object): what they do not find in
//! theirs they hand over to the program that they have replaced ([`before`]), until all was carried over ([`carry`]).
//!
//! ```text
//!          new maps made, filled      links swapped            what begins, begins
//!          BEFORE_* filled            to bridging programs     in the new maps       links swapped again
//! old ─────────────┬──────────────────────┬──────────────────────────┬─────────────────────┬───── new
//!                  commit                 Phase::Defer, carried      Phase::Begin, carried  BEFORE_* cleared, old maps removed
//! ```
//!
//! An agent that is killed on the way leaves node and flows served at every point; the next one removes what was not
//! committed, and goes on with what was.

pub mod before;
pub mod carry;
pub mod copy;
mod finish;
mod grow;
pub mod instance;
mod other;
mod since;
mod step;
mod turn;

pub(super) use finish::{discard_unfinished, finish, former};
pub(super) use grow::grow;
pub(super) use other::{Making, adopt_links, is_unfilled, other, set_filled, take_over};
pub use step::{After, Step};
