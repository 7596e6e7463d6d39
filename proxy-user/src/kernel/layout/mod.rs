//! What a map's keys and values are made of, read from the BTF that the kernel keeps with it: names, places and sizes
//! of fields. By it a pinned map is told from another one of the same size, and entries of one layout are turned into
//! another's, in either direction: an agent takes over from an older or a newer one whose types it has never seen.
//!
//! It holds as long as these hold, from one version to the next:
//!
//! * A field keeps its name only while it keeps its meaning, its byte order included; what means something else gets
//!   another name.
//! * Zero is what a field means to those who do not know it.
//! * The bits of a set of flags, the numbers of an enum and of [`Counter`](proxy_common::abi::Counter) are never given
//!   to something else.
//! * Cells of NAMES, indices and generations mean the same in every version.
//!
//! A map without BTF (of another loader, or where reading it is refused for lack of CAP_SYS_ADMIN) is judged by its
//! [`MapShape`](super::MapShape) alone, and cannot be converted.

mod btf;
mod conversion;
mod difference;
mod entries;
mod map;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
mod types;

pub use btf::{BadBtf, Btf};
pub use conversion::{Conversion, Misfit, Why};
pub use difference::Difference;
pub use entries::MapConversion;
pub use map::MapLayout;
pub use types::{Field, Shape, Type};

pub(super) use map::first_difference;
