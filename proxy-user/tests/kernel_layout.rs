//! The BTF of maps in the kernel: ours are what the object says, others are told apart by their fields, and are
//! converted. Needs root; see `kernel_lab` for what it touches.
#![cfg(feature = "lab")]

mod kernel_lab;

use aya::EbpfLoader;
use aya::maps::{Array, MapData};
use kernel_lab::Lab;
use proxy_common::abi::{
    AffinityClient, AffinityEntry, AffinityKey, BackendRef, FrontendFlags, FrontendKey4,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use shunt::kernel::layout::{MapConversion, MapLayout, Why};
use shunt::kernel::sys::{Access, MapFd};
use shunt::kernel::{Kernel, KernelError, MAPS};
use std::fs;
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes as _, IntoBytes as _};

static OBJECT: &[u8] = include_bytes!("../ebpf/shunt.bpf.o");

fn maps(lab: &Lab) -> PathBuf {
    let version = format!("v{}", proxy_common::abi::ABI_VERSION);
    lab.pin_path().join(version).join("maps")
}

/// Pins the map that another build of the object would make: the same, but for the name of a field.
fn pin_other(map: &str, at: &Path, (name, other): (&str, &str)) -> MapFd {
    let (name, other) = (format!("\0{name}\0"), format!("\0{other}\0"));
    assert_eq!(name.len(), other.len());
    let mut object = OBJECT.to_vec();
    let places: Vec<usize> = OBJECT
        .windows(name.len())
        .enumerate()
        .filter_map(|(place, window)| (window == name.as_bytes()).then_some(place))
        .collect();
    assert!(!places.is_empty(), "no string {name:?} in the object");
    for place in places {
        let name = object.get_mut(place..place + other.len()).expect("a place in the object");
        name.copy_from_slice(other.as_bytes());
    }
    EbpfLoader::new().btf(None).map_pin_path(map, at).load(&object).expect("maps of another build");
    MapFd::open(at, Access::ReadWrite).expect("the pin just made")
}

#[test]
fn the_kernel_keeps_the_fields_of_every_map_as_the_object_has_them() {
    let Some(lab) = Lab::new() else { return };
    let _kernel = lab.open();
    let mut described = 0;
    for name in MAPS {
        let map = MapFd::open(&maps(&lab).join(name), Access::Read).unwrap();
        // Ring buffers have no types.
        let Some(found) = MapLayout::of(&map).unwrap() else { continue };
        described += 1;
        assert_eq!(&found, MapLayout::of_object(name).unwrap().unwrap(), "{name}");
        assert!(MapConversion::into_ours(&map, name).unwrap().key().is_identity(), "{name}");
    }
    assert_eq!(described, MAPS.len() - 1);
}

#[test]
fn a_pin_of_the_same_size_but_other_fields_is_refused_and_kept_aside() {
    let Some(lab) = Lab::new() else { return };
    drop(lab.open());
    let pin = maps(&lab).join("AFFINITY");
    fs::remove_file(&pin).unwrap();
    let other = pin_other("AFFINITY", &pin, ("last_flow", "last_time"));
    let error = Kernel::read_only(&lab.pin_path()).map(drop).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(pin.to_str().unwrap()), "{text}");
    assert!(text.contains("it has no value.last_flow"), "{text}");
    assert!(matches!(error, KernelError::ForeignFields { .. }));

    drop(lab.open());
    let aside = MapFd::open(&lab.pin_path().join("foreign/v4-maps-AFFINITY"), Access::Read).unwrap();
    assert_eq!(aside.id(), other.id(), "moved, not removed");
    let ours = MapLayout::of(&MapFd::open(&pin, Access::Read).unwrap()).unwrap();
    assert_eq!(ours.as_ref(), MapLayout::of_object("AFFINITY").unwrap());
}

#[test]
fn entries_of_a_map_with_other_fields_are_converted() {
    let Some(lab) = Lab::new() else { return };
    let pin = lab.bpffs.path().join("other");
    let other = pin_other("AFFINITY", &pin, ("last_flow", "last_time"));
    let key = AffinityKey { client: AffinityClient::namespace(7 << 40), service: 3 };
    let entry = AffinityEntry { backend: BackendRef::new(5, 9), last_flow: 1 << 50 };
    other.update(key.as_bytes(), entry.as_bytes()).unwrap();

    let conversion = MapConversion::into_ours(&other, "AFFINITY").unwrap();
    let (mut to, mut value) = (vec![0; 24], vec![0; 16]);
    let stored = other.lookup(key.as_bytes()).unwrap();
    conversion.entry((key.as_bytes(), &stored), &mut to, &mut value).unwrap();
    assert_eq!(AffinityKey::read_from_bytes(&to).unwrap(), key);
    // What they call last_time is nothing that we know.
    let kept = AffinityEntry { last_flow: 0, ..entry };
    assert_eq!(AffinityEntry::read_from_bytes(&value).unwrap(), kept);
}

#[test]
fn the_bits_of_the_key_in_a_frontend_are_made_anew() {
    let Some(lab) = Lab::new() else { return };
    let _kernel = lab.open();
    let map = MapFd::open(&maps(&lab).join("FRONTENDS4"), Access::ReadWrite).unwrap();
    let key = FrontendKey4 { address: 10, port: 80, protocol: 6, scope: 0 };
    let with = |check| {
        use proxy_common::abi::FrontendValue;
        FrontendValue::new(4, FrontendFlags::CLUSTER_IP, check)
    };
    let conversion = MapConversion::into_ours(&map, "FRONTENDS4").unwrap();
    assert!(!conversion.is_identity());
    let (mut to, mut value) = ([0; 8], [0; 8]);
    // As if another version hashed its keys in another way.
    conversion.entry((key.as_bytes(), with(!key.check()).as_bytes()), &mut to, &mut value).unwrap();
    assert_eq!((&to[..], &value[..]), (key.as_bytes(), with(key.check()).as_bytes()));
}

#[test]
fn without_btf_or_the_right_to_read_it_the_shape_decides() {
    let Some(lab) = Lab::new() else { return };
    let kernel = lab.open();
    let plain = lab.bpffs.path().join("plain");
    Array::<MapData, u64>::create(4, 0).unwrap().pin(&plain).unwrap();
    let plain = MapFd::open(&plain, Access::Read).unwrap();
    assert_eq!(MapLayout::of(&plain).unwrap(), None);
    assert!(matches!(MapConversion::into_ours(&plain, "NAMES"), Err(Why::Undescribed)));
    drop(kernel);
    // Another one is read, so that this process does not remember that of the pins.
    let other = pin_other("AFFINITY", &lab.bpffs.path().join("other"), ("last_flow", "last_time"));
    assert!(MapLayout::of(&other).unwrap().is_some());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let few = CapabilitySet::BPF | CapabilitySet::DAC_OVERRIDE;
            set_capabilities(
                None,
                CapabilitySets { effective: few, permitted: few, inheritable: CapabilitySet::empty() },
            )
            .unwrap();
            let map = MapFd::open(&maps(&lab).join("FLOWS"), Access::Read).unwrap();
            assert_eq!(MapLayout::of(&map).unwrap(), None);
            Kernel::read_only(&lab.pin_path()).map(drop).unwrap();
        });
        reader.join().unwrap();
    });
}
