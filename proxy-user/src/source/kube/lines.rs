//! The chunks of a body → its lines, which are the frames of a watch.

/// Cuts chunks into lines. Holds at most the line that has not ended yet.
#[derive(Debug)]
pub(super) struct Lines {
    begun: Vec<u8>,
    longest: usize,
    /// The line that is being read is longer than that: its rest is skipped.
    skipping: bool,
}

/// A line, or what is left of one.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Line<'a> {
    /// A whole line without its end.
    Whole(&'a [u8]),
    /// One that was longer than it may be.
    TooLong,
}

impl Lines {
    /// Lines of at most `longest` bytes.
    pub(super) const fn new(longest: usize) -> Self {
        Self { begun: Vec::new(), longest, skipping: false }
    }

    /// The lines that end in a chunk. `line` ends the reading by an error, which is handed on.
    pub(super) fn feed<E>(
        &mut self,
        chunk: &[u8],
        mut line: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if self.begun.len() + text.len() > self.longest {
                self.skipping = true;
            }
            match (ended, self.skipping) {
                (false, true) => self.begun = Vec::new(),
                (false, false) => self.begun.extend_from_slice(text),
                (true, true) => {
                    (self.begun, self.skipping) = (Vec::new(), false);
                    line(Line::TooLong)?;
                }
                (true, false) if self.begun.is_empty() => whole(text, &mut line)?,
                (true, false) => {
                    self.begun.extend_from_slice(text);
                    let text = std::mem::take(&mut self.begun);
                    whole(&text, &mut line)?;
                }
            }
        }
        Ok(())
    }

    /// True between two lines: a body that ends elsewhere was cut off.
    pub(super) const fn is_between(&self) -> bool {
        self.begun.is_empty() && !self.skipping
    }
}

fn whole<E>(text: &[u8], line: &mut impl FnMut(Line<'_>) -> Result<(), E>) -> Result<(), E> {
    if text.trim_ascii().is_empty() { Ok(()) } else { line(Line::Whole(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(chunks: &[&[u8]], longest: usize) -> (Vec<Option<Vec<u8>>>, bool) {
        let (mut lines, mut found) = (Lines::new(longest), Vec::new());
        for chunk in chunks {
            let taken: Result<(), ()> = lines.feed(chunk, |line| {
                found.push(match line {
                    Line::Whole(text) => Some(text.to_vec()),
                    Line::TooLong => None,
                });
                Ok(())
            });
            taken.unwrap();
        }
        (found, lines.is_between())
    }

    #[test]
    fn lines_across_chunks() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(cut(&[b"a\nbc", b"d\n\n", b" \r\ne"], 9), (vec![some("a"), some("bcd")], false));
        assert_eq!(cut(&[b"abcd", b"e\nf\n"], 4), (vec![None, some("f")], true));
        assert_eq!(cut(&[b"abcd", b"efghi"], 4), (vec![], false));
        assert_eq!(cut(&[], 4), (vec![], true));
    }

    #[test]
    fn an_error_ends_it() {
        let mut seen = 0;
        let outcome = Lines::new(9).feed(b"a\nb\nc\n", |_| {
            seen += 1;
            if seen == 2 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((outcome, seen), (Err("enough"), 2));
    }

    proptest! {
        #[test]
        fn where_a_body_is_cut_does_not_matter(text in "[ab\n]{0,60}", cuts in prop::collection::vec(0_usize..60, 0..6)) {
            let text = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.sort_unstable();
            let (mut chunks, mut from) = (Vec::new(), 0);
            for at in cuts {
                chunks.push(&text[from..at]);
                from = at;
            }
            chunks.push(&text[from..]);
            prop_assert_eq!(cut(&chunks, 5), cut(&[text], 5));
        }
    }
}
