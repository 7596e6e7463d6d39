//! The initial file system of a virtual machine.

use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// An archive in the kernel's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst):
/// headers of 13 hexadecimal numbers, names and contents padded to 4 bytes.
#[derive(Clone, Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Cpio {
    /// An empty directory, unless it is there; the one that it is in comes first.
    pub fn add_directory(&mut self, name: &str) -> Result<()> {
        if self.directories.insert(name.to_owned()) { self.add(name, 0o040_755, (0, 0), &[]) } else { Ok(()) }
    }

    /// The directories that a file is in.
    pub fn add_parents(&mut self, file: &str) -> Result<()> {
        let ends: Vec<_> = file.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0).collect();
        ends.into_iter().filter_map(|end| file.get(..end)).try_for_each(|parent| self.add_directory(parent))
    }

    /// A character device of that major and minor number.
    pub fn add_device(&mut self, name: &str, number: (u32, u32)) -> Result<()> {
        self.add(name, 0o020_600, number, &[])
    }

    /// A file that may be executed.
    pub fn add_program(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.add(name, 0o100_755, (0, 0), content)
    }

    /// Any other file.
    pub fn add_file(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.add(name, 0o100_644, (0, 0), content)
    }

    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        let Ok(size) = u32::try_from(content.len()) else { bail!("{name} is too large for a cpio archive") };
        self.entries += 1;
        let (inode, links, name_size) = (self.entries, 1, name.len() as u32 + 1);
        let mut header = String::from("070701");
        for number in [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0] {
            write!(header, "{number:08x}")?;
        }
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    /// The archive as bytes.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.add("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_aligned_and_ends_in_a_trailer() {
        let mut archive = Cpio::default();
        archive.add_program("init", b"12345").expect("add");
        let bytes = archive.finish().expect("finish");
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[6 + 6 * 8..6 + 7 * 8], b"00000005", "size of the content");
        assert_eq!(&bytes[110..115], b"init\0");
        assert_eq!(&bytes[116..121], b"12345");
        assert!(bytes.windows(11).any(|name| name == b"TRAILER!!!\0"));
    }
}
