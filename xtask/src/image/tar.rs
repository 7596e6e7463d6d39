//! The layer: a tar archive (POSIX.1-2001, pax) that says the same bytes whoever makes it, whenever.

/// Bytes of a record.
const RECORD: usize = 512;

/// An archive that is being made.
#[derive(Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// Adds a directory; its path without the first slash, with the last.
    pub fn directory(&mut self, path: &str) {
        self.header(path, 0o755, b'5', 0);
    }

    /// Adds a file that all may read and run, with extended attributes.
    pub fn program(&mut self, path: &str, content: &[u8], attributes: &[(&str, &[u8])]) {
        if !attributes.is_empty() {
            let records: Vec<u8> = attributes
                .iter()
                .flat_map(|(name, value)| record(&format!("SCHILY.xattr.{name}"), value))
                .collect();
            self.header(&format!("PaxHeaders/{path}"), 0o644, b'x', records.len());
            self.content(&records);
        }
        self.header(path, 0o755, b'0', content.len());
        self.content(content);
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * RECORD, 0);
        self.0
    }

    fn content(&mut self, content: &[u8]) {
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(RECORD), 0);
    }

    /// A header of ustar: root's, of the epoch.
    fn header(&mut self, path: &str, mode: u32, kind: u8, size: usize) {
        let mut header = [0_u8; RECORD];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        assert!(path.len() <= 100, "{path} is too long for a ustar header");
        put(0, path.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{size:011o}").as_bytes());
        put(136, b"00000000000");
        // The checksum is taken with blanks in its own place.
        put(148, b"        ");
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
    }
}

/// A record of a pax header: its own length in decimal, a blank, `name=value`, a line feed.
fn record(name: &str, value: &[u8]) -> Vec<u8> {
    let rest = name.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {name}=").as_bytes(), value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_the_digits_of_its_length() {
        assert_eq!(record("a", b"b"), b"6 a=b\n");
        // 98 bytes with two digits would be 99, with three none.
        let value = vec![b'v'; 92];
        let long = record("aa", &value);
        assert_eq!((long.len(), &long[..4]), (99, &b"99 a"[..]));
        let longer = record("aaa", &value);
        assert_eq!((longer.len(), &longer[..5]), (101, &b"101 a"[..]));
    }

    #[test]
    fn what_is_in_it_begins_at_multiples_of_512_bytes() {
        let mut tar = Tar::default();
        tar.directory("usr/");
        tar.program("usr/x", b"content", &[("user.a", b"1")]);
        let bytes = tar.finish();
        // Two headers of the file, its attributes, its content; the directory; the end.
        assert_eq!(bytes.len(), 7 * RECORD);
        assert_eq!(bytes[4 * RECORD..].split(|byte| *byte == 0).next(), Some(&b"content"[..]));
        assert_eq!(&bytes[..5], b"usr/\0");
    }
}
