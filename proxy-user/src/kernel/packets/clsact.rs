//! Attaching by filters of a clsact qdisc. Ours are known by their name: the path of the pin that a tcx link would
//! have, without the device.

use super::hook::PacketHook;
use crate::kernel::bpffs::version_of;
use crate::kernel::error::KernelError;
use crate::kernel::sys::{Filter, Tc};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

/// Each of our filters has a priority of its own, so this number does not matter; zero lets the kernel choose.
const HANDLE: u32 = 1;

/// Makes the kernel run a program on a device, in the place of a former one without a gap. It gets the first
/// priority that no filter of others has.
///
/// # Errors
/// [`KernelError::Device`].
pub fn attach(
    links: &Path,
    device: u32,
    hook: PacketHook,
    program: BorrowedFd<'_>,
) -> Result<(), KernelError> {
    let name = name(links, hook);
    let failed = |call| move |source| KernelError::device(device, call, source);
    let mut tc = open()?;
    tc.add_clsact(device).map_err(failed("RTM_NEWQDISC"))?;
    let filters = tc.filters(device, hook.tc()).map_err(failed("RTM_GETTFILTER"))?;
    let at = filters.iter().find(|filter| filter.name.as_ref() == Some(&name)).map_or_else(
        || {
            let taken: BTreeSet<_> = filters.iter().map(|filter| filter.priority).collect();
            ((1..u16::MAX).find(|priority| !taken.contains(priority)).unwrap_or(u16::MAX), HANDLE)
        },
        |own| (own.priority, own.handle),
    );
    tc.put_filter(device, hook.tc(), at, &name, program).map_err(failed("RTM_NEWTFILTER"))
}

/// Puts a program in the place of one with its links elsewhere, if that runs on a device, without a gap; from then on the
/// filter has our name.
///
/// # Errors
/// [`KernelError::Device`].
pub fn adopt(
    former: &Path,
    links: &Path,
    device: u32,
    hook: PacketHook,
    program: BorrowedFd<'_>,
) -> Result<(), KernelError> {
    let failed = |call| move |source| KernelError::device(device, call, source);
    let (known, ours) = (name(former, hook), name(links, hook));
    let mut tc = open()?;
    let filters = tc.filters(device, hook.tc()).map_err(failed("RTM_GETTFILTER"))?;
    let named = |name: &String| filters.iter().find(|filter| filter.name.as_ref() == Some(name));
    let Some(former) = named(&known) else { return Ok(()) };
    if named(&ours).is_some() {
        return tc
            .remove_filter(device, hook.tc(), (former.priority, former.handle))
            .map_err(failed("RTM_DELTFILTER"));
    }
    tc.put_filter(device, hook.tc(), (former.priority, former.handle), &ours, program)
        .map_err(failed("RTM_NEWTFILTER"))
}

/// Detaches both programs from a device; a clsact qdisc without filters goes too. That one is not attached is no
/// error.
///
/// # Errors
/// [`KernelError::Device`].
pub fn detach(links: &Path, device: u32) -> Result<(), KernelError> {
    remove(&mut open()?, device, |filter| {
        PacketHook::BOTH.iter().any(|hook| filter.name.as_ref() == Some(&name(links, *hook)))
    })
}

/// Id of the program that runs on a device.
///
/// # Errors
/// [`KernelError::Device`].
pub fn program(links: &Path, device: u32, hook: PacketHook) -> Result<Option<u32>, KernelError> {
    let name = name(links, hook);
    let filters = open()?.filters(device, hook.tc());
    let filters = filters.map_err(|source| KernelError::device(device, "RTM_GETTFILTER", source))?;
    let own = filters.into_iter().find(|filter| filter.name.as_ref() == Some(&name));
    Ok(own.and_then(|filter| filter.program_id))
}

/// Ids of the programs that run by our filters, on whatever device.
///
/// # Errors
/// [`KernelError::Device`] or [`KernelError::Call`].
pub fn programs(links: &Path) -> Result<Vec<u32>, KernelError> {
    let mut ids = Vec::new();
    for device in devices()? {
        for hook in PacketHook::BOTH {
            ids.extend(program(links, device, hook)?);
        }
    }
    Ok(ids)
}

/// The devices that may have filters of ours.
///
/// # Errors
/// [`KernelError::Call`].
pub fn devices() -> Result<Vec<u32>, KernelError> {
    open()?.clsact_devices().map_err(|source| KernelError::Call {
        object: "the qdiscs",
        call: "RTM_GETQDISC",
        source,
    })
}

/// Detaches the programs of one pin path from all devices of the calling thread's network namespace: those of the
/// ABI versions that are `unwanted`.
///
/// # Errors
/// [`KernelError::Device`].
pub fn clear(pin_path: &Path, unwanted: impl Fn(&str) -> bool) -> Result<(), KernelError> {
    let mut tc = open()?;
    let pin_path = absolute(pin_path);
    for device in devices()? {
        remove(&mut tc, device, |filter| version(filter, &pin_path).is_some_and(&unwanted))?;
    }
    Ok(())
}

/// The filters of one pin path, by the index of their device.
///
/// # Errors
/// [`KernelError::Device`].
pub fn filters(pin_path: &Path) -> Result<Vec<(u32, String)>, KernelError> {
    let mut tc = open()?;
    let pin_path = absolute(pin_path);
    let mut found = Vec::new();
    for device in devices()? {
        for hook in PacketHook::BOTH.into_iter().rev() {
            let filters = tc.filters(device, hook.tc());
            let filters = filters.map_err(|source| KernelError::device(device, "RTM_GETTFILTER", source))?;
            let own = filters.into_iter().filter(|filter| version(filter, &pin_path).is_some());
            found.extend(own.filter_map(|filter| Some((device, filter.name?))));
        }
    }
    Ok(found)
}

/// The version of the ABI that a filter of this pin path belongs to.
fn version<'a>(filter: &'a Filter, pin_path: &Path) -> Option<&'a str> {
    version_of(Path::new(filter.name.as_deref()?).strip_prefix(pin_path).ok()?)
}

/// Removes filters, and the qdisc if that leaves it empty.
fn remove(tc: &mut Tc, device: u32, unwanted: impl Fn(&Filter) -> bool) -> Result<(), KernelError> {
    let failed = |call| move |source| KernelError::device(device, call, source);
    let (mut removed, mut left) = (false, false);
    for hook in PacketHook::BOTH.into_iter().rev() {
        let filters = tc.filters(device, hook.tc()).map_err(failed("RTM_GETTFILTER"))?;
        for filter in filters.iter().filter(|filter| filter.handle != 0) {
            if unwanted(filter) {
                tc.remove_filter(device, hook.tc(), (filter.priority, filter.handle))
                    .map_err(failed("RTM_DELTFILTER"))?;
                removed = true;
            } else {
                left = true;
            }
        }
    }
    if removed && !left {
        tc.remove_clsact(device).map_err(failed("RTM_DELQDISC"))?;
    }
    Ok(())
}

fn open() -> Result<Tc, KernelError> {
    Tc::open().map_err(|source| KernelError::Call { object: "netlink", call: "socket", source })
}

/// The name of our filter at one hook.
pub fn name(links: &Path, hook: PacketHook) -> String {
    absolute(links).join(hook.program()).to_string_lossy().into_owned()
}

/// The same whatever the working directory, and whichever way leads there.
fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}
