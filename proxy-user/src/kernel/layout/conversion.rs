//! From the bytes of one type to those of another one that has fields of the same names.

use super::types::{Field, Shape, Type};
use std::ops::Range;

/// Steps that one conversion may take: a type of ours takes some ten.
const STEPS: usize = 10_000;

/// Why the entries of one map cannot be turned into another's.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Nobody knows what the bytes of the map mean.
    #[error("it was made without BTF, so nobody knows what its entries are made of")]
    Undescribed,
    /// Its description could not be had.
    #[error("its BTF cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A field is of another kind.
    #[error("{path} is {from} there and {to} here")]
    Kind {
        /// The field.
        path: String,
        /// Its type in the entries that are there.
        from: String,
        /// Its type in those that are wanted.
        to: String,
    },
    /// A struct has no field of the former one.
    #[error("{path} has no field in common: it was {from} and is {to}")]
    NothingInCommon {
        /// The struct.
        path: String,
        /// What it was.
        from: String,
        /// What it is.
        to: String,
    },
    /// A field that cannot be made up is not there.
    #[error("it has no {path}")]
    Lacking {
        /// The field.
        path: String,
    },
    /// A type is larger than any of ours.
    #[error("{path} is too large")]
    Large {
        /// The field.
        path: String,
    },
}

/// Why one entry cannot be converted: what it says cannot be said in the other layout.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Misfit {
    /// A number is too large for its new place.
    #[error("{path} is {value}, which does not fit into {bytes} bytes")]
    Number {
        /// The field.
        path: String,
        /// What it holds.
        value: i128,
        /// Bytes of its new place.
        bytes: usize,
    },
    /// Something has no new place and is not zero: a field of a key, which tells entries apart, or the end of an array.
    #[error("{path} is not zero and has no place")]
    NoPlace {
        /// The field.
        path: String,
    },
    /// The bytes are not as many as the types have.
    #[error("{found} bytes in place of {expected}")]
    Length {
        /// Bytes that were given.
        found: usize,
        /// Bytes of the type.
        expected: usize,
    },
}

/// How one type becomes another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conversion {
    from: usize,
    to: usize,
    steps: Vec<Step>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Copy { from: usize, to: usize, len: usize },
    Number { from: Range<usize>, to: Range<usize>, signed: (bool, bool), path: String },
    MustBeZero { from: Range<usize>, path: String },
}

/// What becomes of fields that the new type does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dropped {
    /// They are forgotten.
    Any,
    /// They must be zero: two keys that differ in nothing else would become one.
    Zero,
}

impl Conversion {
    /// How values of `from` become values of `to`: fields of one name are copied, integers widened or narrowed, arrays
    /// element by element; what is new is zero, what is not known any more is left out.
    ///
    /// # Errors
    /// [`Why`], where fields of one name are of different kinds.
    pub fn between(from: &Type, to: &Type, path: &str) -> Result<Self, Why> {
        Self::new(from, to, path, Dropped::Any)
    }

    pub(super) fn new(from: &Type, to: &Type, path: &str, dropped: Dropped) -> Result<Self, Why> {
        let mut plan = Plan { steps: Vec::new(), dropped };
        plan.add((from, 0), (to, 0), path)?;
        Ok(Self { from: from.size, to: to.size, steps: plan.steps })
    }

    /// Whether bytes stay as they are.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        let Self { from, to, steps } = self;
        from == to && (*to == 0 || matches!(&**steps, [Step::Copy { from: 0, to: 0, len }] if len == to))
    }

    /// Bytes of a value before and after.
    #[must_use]
    pub const fn sizes(&self) -> (usize, usize) {
        (self.from, self.to)
    }

    /// Converts one value; `to` is written in full. Where it fails, what `to` holds means nothing.
    ///
    /// # Errors
    /// [`Misfit`], where the other layout cannot say what this value says.
    pub fn convert(&self, from: &[u8], to: &mut [u8]) -> Result<(), Misfit> {
        check(from.len(), self.from)?;
        check(to.len(), self.to)?;
        to.fill(0);
        for step in &self.steps {
            match step {
                Step::Copy { from: at, to: place, len } => {
                    if let (Some(source), Some(target)) =
                        (from.get(*at..at + len), to.get_mut(*place..place + len))
                    {
                        target.copy_from_slice(source);
                    }
                }
                Step::Number { from: at, to: place, signed, path } => {
                    let value = read(from.get(at.clone()).unwrap_or_default(), signed.0);
                    let bytes = place.len();
                    let target = to.get_mut(place.clone()).unwrap_or_default();
                    write(target, value, signed.1).ok_or_else(|| Misfit::Number {
                        path: path.clone(),
                        value,
                        bytes,
                    })?;
                }
                Step::MustBeZero { from: at, path } => {
                    if from.get(at.clone()).unwrap_or_default().iter().any(|byte| *byte != 0) {
                        return Err(Misfit::NoPlace { path: path.clone() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Converts values that lie side by side, each padded to 8 bytes: those of a mapped array, or of all CPUs in a
    /// per-CPU map.
    ///
    /// # Errors
    /// As for [`Self::convert`]; what follows is not converted then.
    pub fn convert_padded(&self, from: &[u8], to: &mut [u8]) -> Result<(), Misfit> {
        let (step, place) = (self.from.next_multiple_of(8).max(8), self.to.next_multiple_of(8).max(8));
        check(from.len(), to.len() / place * step)?;
        check(to.len(), from.len() / step * place)?;
        for (from, to) in from.chunks_exact(step).zip(to.chunks_exact_mut(place)) {
            let (value, padding) = to.split_at_mut(self.to);
            self.convert(from.get(..self.from).unwrap_or_default(), value)?;
            padding.fill(0);
        }
        Ok(())
    }
}

struct Plan {
    steps: Vec<Step>,
    dropped: Dropped,
}

impl Plan {
    fn add(&mut self, from: (&Type, usize), to: (&Type, usize), path: &str) -> Result<(), Why> {
        if self.steps.len() > STEPS {
            return Err(Why::Large { path: path.to_owned() });
        }
        let ((from, at), (to, place)) = (from, to);
        if from == to {
            self.copy(at, place, from.size);
            return Ok(());
        }
        match (&from.shape, &to.shape) {
            (Shape::Fields(known), Shape::Fields(wanted)) => {
                let nothing = known.iter().all(|field| find(wanted, &field.name).is_none());
                if nothing && !known.is_empty() && !wanted.is_empty() {
                    let (path, from, to) = (path.to_owned(), from.to_string(), to.to_string());
                    return Err(Why::NothingInCommon { path, from, to });
                }
                self.fields((known, at), (wanted, place), path)
            }
            (Shape::Elements { of: known, count }, Shape::Elements { of: wanted, count: places }) => {
                let common = *count.min(places);
                if known == wanted {
                    self.copy(at, place, common * known.size);
                }
                for element in (0..common).filter(|_| known != wanted) {
                    self.add(
                        (known, at + element * known.size),
                        (wanted, place + element * wanted.size),
                        &format!("{path}[{element}]"),
                    )?;
                }
                if count > places {
                    let rest = at + places * known.size..at + count * known.size;
                    self.steps.push(Step::MustBeZero { from: rest, path: format!("{path}[{places}..]") });
                }
                Ok(())
            }
            (Shape::Number { signed }, Shape::Number { signed: wanted })
                if [from.size, to.size].iter().all(|size| (1..=8).contains(size)) =>
            {
                self.steps.push(Step::Number {
                    from: at..at + from.size,
                    to: place..place + to.size,
                    signed: (*signed, *wanted),
                    path: path.to_owned(),
                });
                Ok(())
            }
            _ => Err(Why::Kind { path: path.to_owned(), from: from.to_string(), to: to.to_string() }),
        }
    }

    fn fields(&mut self, from: (&[Field], usize), to: (&[Field], usize), path: &str) -> Result<(), Why> {
        let ((known, at), (wanted, place)) = (from, to);
        for new in wanted {
            if let Some(old) = find(known, &new.name) {
                let path = format!("{path}.{}", new.name);
                self.add((&old.of, at + old.offset), (&new.of, place + new.offset), &path)?;
            }
        }
        if self.dropped == Dropped::Zero {
            for old in known.iter().filter(|old| find(wanted, &old.name).is_none()) {
                let begin = at + old.offset;
                let path = format!("{path}.{}", old.name);
                self.steps.push(Step::MustBeZero { from: begin..begin + old.of.size, path });
            }
        }
        Ok(())
    }

    /// Neighbours are copied together.
    fn copy(&mut self, at: usize, place: usize, size: usize) {
        match self.steps.last_mut() {
            Some(Step::Copy { from, to, len }) if *from + *len == at && *to + *len == place => *len += size,
            _ => self.steps.push(Step::Copy { from: at, to: place, len: size }),
        }
    }
}

fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name == name)
}

fn check(found: usize, expected: usize) -> Result<(), Misfit> {
    if found == expected { Ok(()) } else { Err(Misfit::Length { found, expected }) }
}

/// A number of at most 8 bytes in the machine's byte order.
fn read(bytes: &[u8], signed: bool) -> i128 {
    let negative = signed && most_significant(bytes).is_some_and(|byte| byte & 0x80 != 0);
    let mut word = [if negative { 0xff } else { 0 }; 16];
    place_of(&mut word, bytes.len()).copy_from_slice(bytes);
    i128::from_ne_bytes(word)
}

/// `None` where `value` does not fit.
fn write(to: &mut [u8], value: i128, signed: bool) -> Option<()> {
    let mut word = value.to_ne_bytes();
    to.copy_from_slice(place_of(&mut word, to.len()));
    (read(to, signed) == value).then_some(())
}

/// The least significant bytes of a number.
fn place_of(word: &mut [u8; 16], len: usize) -> &mut [u8] {
    let begin = if cfg!(target_endian = "little") { 0 } else { word.len() - len };
    word.get_mut(begin..begin + len).unwrap_or_default()
}

fn most_significant(bytes: &[u8]) -> Option<u8> {
    if cfg!(target_endian = "little") { bytes.last() } else { bytes.first() }.copied()
}
