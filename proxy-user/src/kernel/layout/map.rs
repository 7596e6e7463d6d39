//! The layout of a map: of one that is in the kernel, or of one of our own.

use super::super::error::KernelError;
use super::super::object::{MAPS, MapName, OBJECT};
use super::super::sys::{MapFd, MapTypes, btf_bytes, map_types};
use super::btf::{BadBtf, Btf};
use super::difference::Difference;
use super::types::Type;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What the keys and values of a map are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapLayout {
    /// A key.
    pub key: Type,
    /// A value; of one CPU in a per-CPU map.
    pub value: Type,
}

impl MapLayout {
    /// The layout of an open map, as its maker described it; `None` where it was made without BTF, or where this process
    /// may not read it (CAP_SYS_ADMIN).
    ///
    /// # Errors
    /// Of the bpf(2) call that failed; `InvalidData`, with a [`BadBtf`], where the description is not understood.
    pub fn of(map: &MapFd) -> io::Result<Option<Self>> {
        let Some(MapTypes { btf_id, key, value }) = map_types(map)? else { return Ok(None) };
        match btf(btf_id) {
            Ok(btf) => Self::new(&btf, key, value).map(Some).map_err(invalid),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The layout of a map of our own object; `None` for a name that is not in [`MAPS`].
    ///
    /// # Errors
    /// [`KernelError::Parse`] or [`KernelError::Object`]: a broken build.
    pub fn of_object(name: &str) -> Result<Option<&'static Self>, KernelError> {
        static OURS: OnceLock<Vec<(MapName, MapLayout)>> = OnceLock::new();
        let ours = match OURS.get() {
            Some(ours) => ours,
            None => {
                let read = of_object()?;
                OURS.get_or_init(|| read)
            }
        };
        Ok(ours.iter().find_map(|(map, layout)| (*map == name).then_some(layout)))
    }

    /// Where this layout differs from `expected` first.
    #[must_use]
    pub fn difference(&self, expected: &Self) -> Option<Difference> {
        Difference::first(&self.key, &expected.key, "key")
            .or_else(|| Difference::first(&self.value, &expected.value, "value"))
    }

    fn new(btf: &Btf, key: u32, value: u32) -> Result<Self, BadBtf> {
        Ok(Self { key: btf.data(key)?, value: btf.data(value)? })
    }
}

/// In what the fields of an open map differ first from those of the map that this library makes under that name; `None`
/// where nothing differs or nothing is known.
///
/// # Errors
/// As for [`MapLayout::of`], and [`KernelError::Parse`].
pub(in super::super) fn first_difference(
    map: &MapFd,
    name: MapName,
) -> Result<Option<Difference>, KernelError> {
    let call = "reading the BTF";
    let found = MapLayout::of(map).map_err(|source| KernelError::Call { object: name, call, source })?;
    let expected = MapLayout::of_object(name)?;
    Ok(found.zip(expected).and_then(|(found, expected)| found.difference(expected)))
}

fn of_object() -> Result<Vec<(MapName, MapLayout)>, KernelError> {
    let object = aya_obj::Object::parse(OBJECT)?;
    let broken = |name| KernelError::Object { object: name };
    let btf = object.btf.as_ref().map(|btf| Btf::parse(btf.to_bytes()));
    MAPS.into_iter()
        .map(|name| {
            let Some(aya_obj::Map::Btf(map)) = object.maps.get(name) else { return Err(broken(name)) };
            let Some(Ok(btf)) = &btf else { return Err(broken(name)) };
            let layout = MapLayout::new(btf, map.def.btf_key_type_id, map.def.btf_value_type_id);
            Ok((name, layout.map_err(|_| broken(name))?))
        })
        .collect()
}

/// The BTF with this number. All maps of one object have the same, so the last one is kept: the kernel does not use its
/// number for another one as long as anybody could have it from a map.
fn btf(id: u32) -> io::Result<Arc<Btf>> {
    static LAST: Mutex<Option<(u32, Arc<Btf>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, btf)) = last.as_ref().filter(|(last, _)| *last == id) {
        return Ok(Arc::clone(btf));
    }
    let btf = Arc::new(Btf::parse(btf_bytes(id)?).map_err(invalid)?);
    *last = Some((id, Arc::clone(&btf)));
    Ok(btf)
}

fn invalid(error: BadBtf) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::super::super::object::{
        AFFINITY, EVENTS, FLOWS, FRONTENDS4, NETWORKS, REVERSE, SERVICES, SLOTS, shapes,
    };
    use super::super::{Field, Shape};
    use super::*;
    use proxy_common::abi::{AffinityEntry, FlowEntry, FrontendValue, ReverseEntry, ServiceEntry, Tuple};
    use std::mem::offset_of;

    fn ours(name: MapName) -> &'static MapLayout {
        MapLayout::of_object(name).unwrap().unwrap()
    }

    fn field<'a>(of: &'a Type, name: &str) -> &'a Field {
        let Shape::Fields(fields) = &of.shape else { panic!("{of} is no struct") };
        fields.iter().find(|field| field.name == name).unwrap()
    }

    #[test]
    fn every_map_of_the_object_is_described_in_its_size() {
        for (name, shape) in shapes().unwrap() {
            let MapLayout { key, value } = ours(name);
            assert_eq!(
                (key.size, value.size),
                (shape.key_size as usize, shape.value_size as usize),
                "{name}"
            );
        }
        assert_eq!(ours(EVENTS).value.size, 0);
        assert_eq!(MapLayout::of_object("NONE").unwrap(), None);
    }

    #[test]
    fn fields_lie_where_the_compiler_has_put_them() {
        let offset = |map: MapName, name| field(&ours(map).value, name).offset;
        assert_eq!(offset(FLOWS, "backend"), offset_of!(FlowEntry, backend));
        assert_eq!(offset(FLOWS, "last_seen"), offset_of!(FlowEntry, last_seen));
        assert_eq!(offset(AFFINITY, "last_flow"), offset_of!(AffinityEntry, last_flow));
        assert_eq!(offset(REVERSE, "protocol"), offset_of!(ReverseEntry, protocol));
        assert_eq!(
            offset(SERVICES, "health_check_node_port"),
            offset_of!(ServiceEntry, health_check_node_port)
        );
        assert_eq!(offset(FRONTENDS4, "service"), offset_of!(FrontendValue, service));
        assert_eq!(field(&ours(FLOWS).key, "protocol").offset, offset_of!(Tuple, protocol));
        assert_eq!(field(&ours(NETWORKS).key, "data").of.to_string(), "[u32; 4]");
    }

    #[test]
    fn newtypes_are_what_they_hold() {
        assert_eq!(ours(SLOTS).value.to_string(), "u64");
        let flow = &ours(FLOWS).value;
        assert_eq!(field(flow, "flags").of.to_string(), "u16");
        assert_eq!(field(flow, "source").of.to_string(), "16 bytes { words@0: [u32; 4] }");
    }
}
