//! A type as data: how many bytes, and what they are.

use std::fmt;

/// A type of keys or values, or of a part of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    /// Bytes.
    pub size: usize,
    /// What they are.
    pub shape: Shape,
}

/// What the bytes of a type are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Shape {
    /// An integer or bool, in the machine's byte order as far as this is concerned.
    Number {
        /// In two's complement.
        signed: bool,
    },
    /// A struct.
    Fields(Vec<Field>),
    /// An array.
    Elements {
        /// What of.
        of: Box<Type>,
        /// How many.
        count: usize,
    },
    /// What is the same or not, and else not looked into (unions, enums): its description.
    Whole(String),
}

/// A field of a struct.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where it begins: bytes from the struct's beginning.
    pub offset: usize,
    /// Its type.
    pub of: Type,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            Shape::Number { signed } => {
                write!(f, "{}{}", if *signed { "i" } else { "u" }, 8 * self.size)
            }
            Shape::Elements { of, count } => write!(f, "[{of}; {count}]"),
            Shape::Whole(what) => f.write_str(what),
            Shape::Fields(fields) => {
                write!(f, "{} bytes {{", self.size)?;
                for (number, Field { name, offset, of }) in fields.iter().enumerate() {
                    write!(f, "{} {name}@{offset}: {of}", if number == 0 { "" } else { "," })?;
                }
                f.write_str(" }")
            }
        }
    }
}
