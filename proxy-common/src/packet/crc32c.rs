//! SCTP's checksum by difference.

/// placeholder until the helper's version is merged
#[inline(always)]
pub const fn updated(checksum: [u8; 4], _old: [u8; 4], _new: [u8; 4], _bytes_after: u32) -> [u8; 4] {
    checksum
}
