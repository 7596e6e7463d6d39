//! What must hold of every conversion, tried on types and bytes at random.

use super::testing::{array, number, record, signed};
use super::{Conversion, Difference, Field, MapLayout, Misfit, Shape, Type, Why};
use proptest::collection::vec;
use proptest::prelude::*;

/// A struct's fields before they have places.
#[derive(Clone, Debug)]
enum Part {
    Number { log2: u32, signed: bool },
    Array(Box<Part>, usize),
    Struct(Vec<Part>),
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = (0..4_u32, any::<bool>()).prop_map(|(log2, signed)| Part::Number { log2, signed });
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            (inner.clone(), 1..4_usize).prop_map(|(of, count)| Part::Array(Box::new(of), count)),
            vec(inner, 1..5).prop_map(Part::Struct),
        ]
    })
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    vec(part(), 1..6)
}

/// Random numbers that decide how parts are laid out; all zero for the plain layout.
struct Choices<'a>(&'a [u8], usize);

impl Choices<'_> {
    fn next(&mut self, below: usize) -> usize {
        self.1 += 1;
        usize::from(self.0.get(self.1 % self.0.len().max(1)).copied().unwrap_or(0)) % below
    }
}

/// Gives parts a place each: turned round, with padding, wider numbers, longer arrays and fields of others, as the
/// choices say.
fn laid_out(parts: &[Part], choices: &mut Choices<'_>) -> Type {
    let mut fields = Vec::new();
    let mut size = 0;
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.rotate_left(choices.next(parts.len().max(1)));
    for index in order {
        size += choices.next(4);
        if choices.next(3) == 2 {
            fields.push(Field { name: format!("others{index}"), offset: size, of: number(4) });
            size += 4;
        }
        let of = parts.get(index).map(|part| typed(part, choices)).unwrap();
        fields.push(Field { name: format!("field{index}"), offset: size, of: of.clone() });
        size += of.size;
    }
    Type { size: size + choices.next(8), shape: Shape::Fields(fields) }
}

fn typed(part: &Part, choices: &mut Choices<'_>) -> Type {
    match part {
        Part::Number { log2, signed } => {
            let size = 1 << (log2 + choices.next(4 - *log2 as usize) as u32);
            Type { size, shape: Shape::Number { signed: *signed } }
        }
        Part::Array(of, count) => array(typed(of, choices), count + choices.next(3)),
        Part::Struct(parts) => laid_out(parts, choices),
    }
}

fn convert(from: &Type, to: &Type, bytes: &[u8]) -> Result<Vec<u8>, Misfit> {
    let mut converted = vec![0xa5; to.size];
    Conversion::between(from, to, "value").unwrap().convert(bytes, &mut converted)?;
    Ok(converted)
}

/// A number's value, by other means than the conversion's.
fn value(bytes: &[u8], signed: bool) -> i128 {
    match (bytes, signed) {
        ([a], false) => i128::from(*a),
        ([a], true) => i128::from(*a as i8),
        ([a, b], false) => i128::from(u16::from_ne_bytes([*a, *b])),
        ([a, b], true) => i128::from(i16::from_ne_bytes([*a, *b])),
        ([a, b, c, d], false) => i128::from(u32::from_ne_bytes([*a, *b, *c, *d])),
        ([a, b, c, d], true) => i128::from(i32::from_ne_bytes([*a, *b, *c, *d])),
        (bytes, false) => i128::from(u64::from_ne_bytes(bytes.try_into().unwrap())),
        (bytes, true) => i128::from(i64::from_ne_bytes(bytes.try_into().unwrap())),
    }
}

proptest! {
    #[test]
    fn one_type_is_copied_as_it_is(
        parts in parts(), choices in vec(any::<u8>(), 1..64), noise in vec(any::<u8>(), 4096)
    ) {
        let of = laid_out(&parts, &mut Choices(&choices, 0));
        let bytes = noise.get(..of.size.min(4096)).unwrap();
        prop_assume!(bytes.len() == of.size);
        let conversion = Conversion::between(&of, &of, "value").unwrap();
        prop_assert!(conversion.is_identity());
        prop_assert_eq!(convert(&of, &of, bytes).unwrap(), bytes);
        prop_assert_eq!(Difference::first(&of, &of, "value"), None);
    }

    #[test]
    fn what_went_to_a_wider_layout_comes_back(
        parts in parts(), choices in vec(any::<u8>(), 1..64), noise in vec(any::<u8>(), 4096)
    ) {
        let plain = laid_out(&parts, &mut Choices(&[], 0));
        let other = laid_out(&parts, &mut Choices(&choices, 0));
        prop_assume!(plain.size <= noise.len());
        let bytes = noise.get(..plain.size).unwrap();
        let there = convert(&plain, &other, bytes).unwrap();
        prop_assert_eq!(convert(&other, &plain, &there).unwrap(), bytes);
        prop_assert_eq!(Difference::first(&other, &plain, "value").is_some(), other != plain);
        let both = Conversion::between(&plain, &other, "value").unwrap();
        prop_assert_eq!(both.is_identity(), other == plain);
    }

    #[test]
    fn a_number_keeps_its_value_or_is_refused(
        bytes in any::<[u8; 8]>(), small in any::<bool>(), from in 0..4_u32, to in 0..4_u32,
        signs in any::<(bool, bool)>()
    ) {
        let (from, to) = (1_usize << from, 1_usize << to);
        let mut bytes = bytes.get(..from).unwrap().to_vec();
        if small {
            // Most random numbers fit nowhere else.
            bytes.iter_mut().skip(1).for_each(|byte| *byte = 0);
        }
        let number = |size, signed| Type { size, shape: Shape::Number { signed } };
        let meant = value(&bytes, signs.0);
        let bits = 8 * to as u32;
        let fits = if signs.1 {
            (-(1_i128 << (bits - 1))..1_i128 << (bits - 1)).contains(&meant)
        } else {
            (0..1_i128 << bits).contains(&meant)
        };
        match convert(&number(from, signs.0), &number(to, signs.1), &bytes) {
            Ok(converted) => {
                prop_assert!(fits || (from, signs.0) == (to, signs.1));
                prop_assert_eq!(value(&converted, signs.1), meant);
            }
            Err(misfit) => {
                prop_assert!(!fits);
                prop_assert_eq!(misfit, Misfit::Number { path: "value".to_owned(), value: meant, bytes: to });
            }
        }
    }
}

#[test]
fn new_fields_are_zero_and_unknown_ones_are_left_out() {
    let old = record(8, [("port", 0, number(2)), ("gone", 2, number(2)), ("service", 4, number(4))]);
    let new = record(16, [("service", 0, number(8)), ("zone", 8, number(4)), ("port", 12, number(2))]);
    let [a, b, c, d] = 7_u32.to_ne_bytes();
    let converted = convert(&old, &new, &[0x1f, 0x90, 9, 9, a, b, c, d]).unwrap();
    assert_eq!(converted, [7_u64.to_ne_bytes(), [0, 0, 0, 0, 0x1f, 0x90, 0, 0]].concat());
}

#[test]
fn the_end_of_an_array_may_be_left_out_only_where_it_is_zero() {
    let (long, short) = (array(number(2), 3), array(number(2), 2));
    assert_eq!(convert(&long, &short, &[1, 2, 3, 4, 0, 0]).unwrap(), [1, 2, 3, 4]);
    let misfit = convert(&long, &short, &[1, 2, 3, 4, 0, 1]).unwrap_err();
    assert_eq!(misfit.to_string(), "value[2..] is not zero and has no place");
}

#[test]
fn fields_of_one_name_and_different_kinds_are_refused() {
    let told = |from: &Type, to: &Type| Conversion::between(from, to, "value").unwrap_err().to_string();
    let with = |of: Type| record(of.size, [("backend", 0, of)]);
    let parts = record(8, [("index", 0, number(4)), ("generation", 4, number(4))]);
    assert_eq!(
        told(&with(number(8)), &with(parts.clone())),
        "value.backend is u64 there and 8 bytes { index@0: u32, generation@4: u32 } here"
    );
    let others = record(4, [("place", 0, number(4))]);
    assert_eq!(
        told(&with(parts), &with(others)),
        "value.backend has no field in common: it was 8 bytes { index@0: u32, generation@4: u32 } and is 4 bytes { \
         place@0: u32 }"
    );
    let whole = |text: &str| Type { size: 4, shape: Shape::Whole(text.to_owned()) };
    assert!(matches!(
        Conversion::between(&whole("enum A=0"), &whole("enum A=1"), "value"),
        Err(Why::Kind { .. })
    ));
}

#[test]
fn values_side_by_side_keep_to_their_places() {
    let old = record(4, [("flows", 0, number(4))]);
    let new = record(12, [("begun", 0, number(4)), ("flows", 4, number(8))]);
    let conversion = Conversion::between(&old, &new, "value").unwrap();
    let from: Vec<u8> = [5_u64, 6, 7].iter().flat_map(|flows| flows.to_ne_bytes()).collect();
    let mut to = vec![0xa5; 48];
    conversion.convert_padded(&from, &mut to).unwrap();
    let read: Vec<u32> =
        to.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
    assert_eq!(read, [0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0]);
    let misfit = conversion.convert_padded(&from, &mut [0; 32]).unwrap_err();
    assert_eq!(misfit, Misfit::Length { found: 24, expected: 16 });
}

#[test]
fn keys_that_would_become_one_are_refused() {
    let key = |fields| MapLayout { key: fields, value: number(8) };
    let old = key(record(8, [("cookie", 0, number(4)), ("zone", 4, number(4))]));
    let new = key(record(4, [("cookie", 0, signed(4))]));
    let conversion = super::MapConversion::between(&old, &new, "REVERSE").unwrap();
    let (mut to, mut value) = ([0; 4], [0; 8]);
    let cpus = [[2; 8], [3; 8], [4; 8]].concat();
    assert_eq!(conversion.turned(&[1, 0, 0, 0, 0, 0, 0, 0], &cpus).unwrap(), (vec![1, 0, 0, 0], cpus));
    assert_eq!(conversion.turned(&[0; 8], &[7; 8]).unwrap(), (vec![0; 4], vec![7; 8]));
    conversion.entry((&[1, 0, 0, 0, 0, 0, 0, 0], &[1; 8]), &mut to, &mut value).unwrap();
    assert_eq!((to, value), ([1, 0, 0, 0], [1; 8]));
    let misfit = conversion.entry((&[1, 0, 0, 0, 0, 0, 1, 0], &[1; 8]), &mut to, &mut value).unwrap_err();
    assert_eq!(misfit.to_string(), "key.zone is not zero and has no place");
}
