//! Types for tests.

use super::{Field, Shape, Type};

pub fn number(size: usize) -> Type {
    Type { size, shape: Shape::Number { signed: false } }
}

pub fn signed(size: usize) -> Type {
    Type { size, shape: Shape::Number { signed: true } }
}

pub fn array(of: Type, count: usize) -> Type {
    Type { size: of.size * count, shape: Shape::Elements { of: Box::new(of), count } }
}

pub fn record<const N: usize>(size: usize, fields: [(&str, usize, Type); N]) -> Type {
    let fields = fields.into_iter().map(|(name, offset, of)| Field { name: name.to_owned(), offset, of });
    Type { size, shape: Shape::Fields(fields.collect()) }
}
