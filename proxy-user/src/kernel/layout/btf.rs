//! Reads BTF (Documentation/bpf/btf.rst of the kernel), as far as data is described in it. aya-obj reads it too, but
//! keeps the members of structs to itself.

use super::types::{Field, Shape, Type};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Of the header; also tells the byte order.
const MAGIC: u16 = 0xeb9f;
/// Types within each other: what a type of ours has at most, many times over.
const DEPTH: u32 = 32;
/// Types that one type is made of, each as often as it occurs.
const NODES: u32 = 10_000;

/// Kinds of types, as the format numbers them.
mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// Why bytes are no BTF that this can read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadBtf {
    /// The header is of something else.
    #[error("no BTF header")]
    Header,
    /// It ends in the middle.
    #[error("it ends within type {0}")]
    Short(u32),
    /// A kind that was added to the format later.
    #[error("type {0} is of the unknown kind {1}")]
    Kind(u32, u32),
    /// A type that it does not have.
    #[error("there is no type {0}")]
    Absent(u32),
    /// A type that is no data: a function, a declaration.
    #[error("type {0} is no data")]
    NoData(u32),
    /// Deeper or larger than any type of ours.
    #[error("type {0} is too deep or too large")]
    Large(u32),
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: u16,
    version: u8,
    flags: u8,
    len: u32,
    type_off: u32,
    type_len: u32,
    str_off: u32,
    str_len: u32,
}

/// What every type begins with.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Head {
    name: u32,
    /// Number of members in the lowest 16 bits, the kind in five from bit 24 on, a flag in the highest.
    info: u32,
    /// Bytes, or the type that this one refers to.
    size_or_type: u32,
}

impl Head {
    const fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    const fn members(self) -> usize {
        (self.info & 0xffff) as usize
    }
}

/// The types that one loader gave to the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where each type begins, from type 1 on.
    starts: Vec<usize>,
    strings: usize,
}

impl Btf {
    /// Finds the types in `bytes`, which are in the machine's byte order.
    ///
    /// # Errors
    /// [`BadBtf`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BadBtf> {
        let (header, _) = Header::read_from_prefix(&bytes).map_err(|_| BadBtf::Header)?;
        let base = header.len as usize;
        if header.magic != MAGIC || header.version != 1 || header.flags != 0 {
            return Err(BadBtf::Header);
        }
        let strings = base + header.str_off as usize;
        let (mut at, end) =
            (base + header.type_off as usize, base + header.type_off as usize + header.type_len as usize);
        if end > bytes.len() || strings > bytes.len() {
            return Err(BadBtf::Header);
        }
        let mut btf = Self { bytes, starts: Vec::new(), strings };
        while at < end {
            let id = btf.starts.len() as u32 + 1;
            let head: Head = btf.read(at).ok_or(BadBtf::Short(id))?;
            let rest = match head.kind() {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::PTR
                | kind::FWD
                | kind::TYPEDEF
                | kind::VOLATILE
                | kind::CONST
                | kind::RESTRICT
                | kind::FUNC
                | kind::FLOAT
                | kind::TYPE_TAG => 0,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * head.members(),
                kind::ENUM | kind::FUNC_PROTO => 8 * head.members(),
                kind => return Err(BadBtf::Kind(id, kind)),
            };
            btf.starts.push(at);
            at += size_of::<Head>() + rest;
            if at > end {
                return Err(BadBtf::Short(id));
            }
        }
        Ok(btf)
    }

    /// The type that has this number. Names of types are left out: a type is what its fields are. So are newtypes
    /// (tuple structs of one field), which are what they hold.
    ///
    /// # Errors
    /// [`BadBtf`].
    pub fn data(&self, id: u32) -> Result<Type, BadBtf> {
        let mut nodes = NODES;
        self.resolve(id, DEPTH, &mut nodes)
    }

    fn resolve(&self, id: u32, depth: u32, nodes: &mut u32) -> Result<Type, BadBtf> {
        let depth = depth.checked_sub(1).ok_or(BadBtf::Large(id))?;
        *nodes = nodes.checked_sub(1).ok_or(BadBtf::Large(id))?;
        if id == 0 {
            return Ok(Type { size: 0, shape: Shape::Whole("void".to_owned()) });
        }
        let (head, at) = self.head(id)?;
        let short = BadBtf::Short(id);
        let size = head.size_or_type as usize;
        let shape = match head.kind() {
            kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                return self.resolve(head.size_or_type, depth, nodes);
            }
            kind::INT => {
                let encoding: u32 = self.read(at).ok_or(short)?;
                Shape::Number { signed: encoding >> 24 & 1 != 0 }
            }
            kind::ARRAY => {
                let [of, _, count]: [u32; 3] = self.read(at).ok_or(short)?;
                let of = self.resolve(of, depth, nodes)?;
                let count = count as usize;
                let size = of.size.checked_mul(count).ok_or(BadBtf::Large(id))?;
                return Ok(Type { size, shape: Shape::Elements { of: Box::new(of), count } });
            }
            kind::STRUCT => {
                let mut fields = self.fields(id, depth, nodes)?;
                match &mut *fields {
                    [only] if only.name == "__0" && only.offset == 0 && only.of.size == size => {
                        return Ok(fields.swap_remove(0).of);
                    }
                    _ => Shape::Fields(fields),
                }
            }
            kind::UNION => {
                let fields = self.fields(id, depth, nodes)?;
                Shape::Whole(format!("union {}", Type { size, shape: Shape::Fields(fields) }))
            }
            kind::ENUM => {
                let variants = (0..head.members()).map(|member| {
                    let [name, value]: [u32; 2] = self.read(at + 8 * member).ok_or(BadBtf::Short(id))?;
                    Ok(format!("{}={value}", self.string(name)))
                });
                Shape::Whole(format!("enum {}", variants.collect::<Result<Vec<_>, _>>()?.join(",")))
            }
            kind::FLOAT => Shape::Whole("float".to_owned()),
            kind::PTR => return Ok(Type { size: 8, shape: Shape::Whole("pointer".to_owned()) }),
            _ => return Err(BadBtf::NoData(id)),
        };
        Ok(Type { size, shape })
    }

    fn fields(&self, id: u32, depth: u32, nodes: &mut u32) -> Result<Vec<Field>, BadBtf> {
        let (head, at) = self.head(id)?;
        (0..head.members())
            .map(|member| {
                let [name, of, bits]: [u32; 3] = self.read(at + 12 * member).ok_or(BadBtf::Short(id))?;
                // With the flag, the upper byte is the width of a bit field. Those, and what begins within a byte, are
                // C's: no type of ours has any.
                if bits % 8 != 0 || (head.info >> 31 == 1 && bits >> 24 != 0) {
                    return Err(BadBtf::NoData(id));
                }
                let of = self.resolve(of, depth, nodes)?;
                Ok(Field { name: self.string(name), offset: bits as usize / 8, of })
            })
            .collect()
    }

    /// A type's beginning, and where the rest of it stands.
    fn head(&self, id: u32) -> Result<(Head, usize), BadBtf> {
        let index = (id as usize).checked_sub(1);
        let at = *index.and_then(|index| self.starts.get(index)).ok_or(BadBtf::Absent(id))?;
        Ok((self.read(at).ok_or(BadBtf::Short(id))?, at + size_of::<Head>()))
    }

    fn string(&self, offset: u32) -> String {
        let text = self.bytes.get(self.strings + offset as usize..).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    fn read<T: FromBytes + Immutable + KnownLayout>(&self, at: usize) -> Option<T> {
        Some(T::read_from_prefix(self.bytes.get(at..)?).ok()?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::object::OBJECT;
    use super::*;

    fn of_the_object() -> Vec<u8> {
        aya_obj::Object::parse(OBJECT).unwrap().btf.unwrap().to_bytes()
    }

    #[test]
    fn what_ends_early_is_refused() {
        let bytes = of_the_object();
        let types = Header::read_from_prefix(&bytes).unwrap().0.str_off as usize;
        assert!(types > 1_000);
        for end in (0..types).step_by(7) {
            let part = bytes.get(..end).unwrap().to_vec();
            assert_eq!(Btf::parse(part).unwrap_err(), BadBtf::Header, "{end}");
        }
        assert!(Btf::parse(bytes).is_ok());
    }

    #[test]
    fn whatever_the_bytes_say_reading_them_ends() {
        let whole = of_the_object();
        let types = Btf::parse(whole.clone()).unwrap().starts.len() as u32;
        let header = size_of::<Header>();
        for (round, noise) in (0..400_usize).zip([0x01, 0x80, 0xff, 0x05].into_iter().cycle()) {
            let mut bytes = whole.clone();
            for place in (header + 13 * round..whole.len()).step_by(997) {
                bytes[place] ^= noise;
            }
            if let Ok(btf) = Btf::parse(bytes) {
                for id in 0..=types + 1 {
                    let _ = btf.data(id);
                }
            }
        }
    }

    #[test]
    fn what_is_no_data_is_told_from_what_is() {
        let btf = Btf::parse(of_the_object()).unwrap();
        let types = btf.starts.len() as u32;
        assert_eq!(btf.data(types + 1), Err(BadBtf::Absent(types + 1)));
        let of_kind = |wanted| (1..=types).find(|id| btf.head(*id).unwrap().0.kind() == wanted).unwrap();
        let function = of_kind(kind::FUNC);
        assert_eq!(btf.data(function), Err(BadBtf::NoData(function)));
        assert_eq!(btf.data(of_kind(kind::PTR)).unwrap().to_string(), "pointer");
    }
}
