//! In what two types differ, for whoever wonders why a pinned map was refused.

use super::types::{Field, Shape, Type};
use std::fmt;

/// The first difference between what was found and what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Of which part: `value.backend`.
    pub path: String,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    Missing,
    Unknown,
    Offset { found: usize, expected: usize },
    Type { found: String, expected: String },
}

impl Difference {
    /// Compares names, places and sizes of all fields; the `path` is what both are.
    #[must_use]
    pub fn first(found: &Type, expected: &Type, path: &str) -> Option<Self> {
        if found == expected {
            return None;
        }
        let differ = |path: String, what| Some(Self { path, what });
        match (&found.shape, &expected.shape) {
            (Shape::Fields(ours), Shape::Fields(theirs)) if !ours.is_empty() && !theirs.is_empty() => {
                fields(ours, theirs, path)
            }
            (Shape::Elements { of: ours, count: found_count }, Shape::Elements { of: theirs, count })
                if found_count == count =>
            {
                Self::first(ours, theirs, &format!("{path}[]"))
            }
            _ => None,
        }
        // Of the same fields, but with more or less behind the last one.
        .or_else(|| differ(path.to_owned(), What::Type { found: brief(found), expected: brief(expected) }))
    }
}

fn fields(found: &[Field], expected: &[Field], path: &str) -> Option<Difference> {
    let inner = |field: &Field| format!("{path}.{}", field.name);
    for theirs in expected {
        let Some(ours) = found.iter().find(|ours| ours.name == theirs.name) else {
            return Some(Difference { path: inner(theirs), what: What::Missing });
        };
        if ours.offset != theirs.offset {
            let what = What::Offset { found: ours.offset, expected: theirs.offset };
            return Some(Difference { path: inner(theirs), what });
        }
        if let Some(difference) = Difference::first(&ours.of, &theirs.of, &inner(theirs)) {
            return Some(difference);
        }
    }
    let unknown = found.iter().find(|ours| expected.iter().all(|theirs| theirs.name != ours.name))?;
    Some(Difference { path: inner(unknown), what: What::Unknown })
}

fn brief(of: &Type) -> String {
    match of.shape {
        Shape::Fields(_) => format!("a struct of {} bytes", of.size),
        _ => of.to_string(),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, what } = self;
        match what {
            What::Missing => write!(f, "it has no {path}"),
            What::Unknown => write!(f, "it has {path}, which is unknown"),
            What::Offset { found, expected } => {
                write!(f, "its {path} begins at byte {found}, not {expected}")
            }
            What::Type { found, expected } => write!(f, "its {path} is {found}, not {expected}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{array, number, record};
    use super::*;

    fn entry() -> Type {
        let peer = record(8, [("address", 0, number(4)), ("port", 4, number(2))]);
        record(16, [("peer", 0, peer), ("words", 8, array(number(4), 2))])
    }

    #[test]
    fn a_type_does_not_differ_from_itself() {
        assert_eq!(Difference::first(&entry(), &entry(), "value"), None);
    }

    #[test]
    fn the_first_difference_is_named_with_its_way_there() {
        let told = |found: &Type| Difference::first(found, &entry(), "value").unwrap().to_string();
        let peer = |port: &str, offset, of| record(8, [("address", 0, number(4)), (port, offset, of)]);
        let with = |peer| record(16, [("peer", 0, peer), ("words", 8, array(number(4), 2))]);
        assert_eq!(told(&with(peer("port", 6, number(2)))), "its value.peer.port begins at byte 6, not 4");
        assert_eq!(told(&with(peer("port", 4, number(4)))), "its value.peer.port is u32, not u16");
        assert_eq!(told(&with(peer("door", 4, number(2)))), "it has no value.peer.port");
        let more = record(
            16,
            [
                ("peer", 0, peer("port", 4, number(2))),
                ("words", 8, array(number(4), 2)),
                ("more", 6, number(1)),
            ],
        );
        assert_eq!(told(&more), "it has value.more, which is unknown");
        let words = |of| record(16, [("peer", 0, peer("port", 4, number(2))), ("words", 8, of)]);
        assert_eq!(told(&words(array(number(2), 4))), "its value.words is [u16; 4], not [u32; 2]");
        assert_eq!(
            told(&words(array(Type { size: 4, shape: Shape::Number { signed: true } }, 2))),
            "its value.words[] is i32, not u32"
        );
        let longer = Type { size: 24, ..entry() };
        assert_eq!(told(&longer), "its value is a struct of 24 bytes, not a struct of 16 bytes");
    }
}
