//! Attaching by tcx, with pinned links.

use super::hook::PacketHook;
use crate::kernel::attach::{discard, unfinished};
use crate::kernel::error::KernelError;
use crate::kernel::sys::{LinkFd, tcx_links};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Makes the kernel run a program on a device, by the pinned link if it still does, else by a new one. False if the
/// kernel has no tcx.
///
/// # Errors
/// Of the call that failed.
pub fn attach(
    links: &Path,
    device: u32,
    hook: PacketHook,
    program: BorrowedFd<'_>,
) -> Result<bool, KernelError> {
    let name = hook.pin(device);
    let pin = links.join(&name);
    let fresh = unfinished(&pin, &name);
    discard(&fresh)?;
    if let Some(link) = open(&pin, device, hook)?.filter(|link| is_running(link, device, hook)) {
        match link.update(program) {
            Ok(()) => return Ok(true),
            // The device was removed since.
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
            Err(source) => return Err(KernelError::device(device, "BPF_LINK_UPDATE", source)),
        }
    }
    let link = match LinkFd::create_tcx(program, device, hook.tcx()) {
        Ok(link) => link,
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(false),
        Err(source) => return Err(KernelError::device(device, "BPF_LINK_CREATE", source)),
    };
    link.pin(&fresh).map_err(|source| KernelError::path(&fresh, "BPF_OBJ_PIN", source))?;
    fs::rename(&fresh, &pin).map_err(|source| KernelError::path(fresh, "rename", source))?;
    Ok(true)
}

/// Puts another program in the place of the one that runs by the pinned link, wherever its device is; false if there
/// is no link, or its device is gone.
///
/// # Errors
/// [`KernelError::Path`] or [`KernelError::Device`].
pub fn replace(
    links: &Path,
    device: u32,
    hook: PacketHook,
    program: BorrowedFd<'_>,
) -> Result<bool, KernelError> {
    let Some(link) = open(&links.join(hook.pin(device)), device, hook)? else { return Ok(false) };
    match link.update(program) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(false),
        Err(source) => Err(KernelError::device(device, "BPF_LINK_UPDATE", source)),
    }
}

/// Detaches both programs from a device at once. That one is not attached is no error.
///
/// # Errors
/// [`KernelError::Path`].
pub fn detach(links: &Path, device: u32) -> Result<(), KernelError> {
    // The other way round than they are attached.
    for hook in PacketHook::BOTH.into_iter().rev() {
        let name = hook.pin(device);
        let pin = links.join(&name);
        // The kernel lets go of an unpinned link some time later.
        if let Some(link) = open(&pin, device, hook)? {
            // ENOLINK: the device is gone.
            let _ = link.detach();
        }
        discard(&unfinished(&pin, &name))?;
        discard(&pin)?;
    }
    Ok(())
}

/// Id of the program that runs by the pinned link.
///
/// # Errors
/// Of BPF_OBJ_GET.
pub fn program(links: &Path, device: u32, hook: PacketHook) -> Result<Option<u32>, KernelError> {
    let link = open(&links.join(hook.pin(device)), device, hook)?;
    let running = link.filter(|link| is_running(link, device, hook));
    Ok(running.and_then(|link| link.tcx_info().ok()?).map(|info| info.program_id))
}

/// Id of the program of the pinned link, wherever its device is.
///
/// # Errors
/// Of BPF_OBJ_GET.
pub fn pinned_program(links: &Path, device: u32, hook: PacketHook) -> Result<Option<u32>, KernelError> {
    let link = open(&links.join(hook.pin(device)), device, hook)?;
    Ok(link.and_then(|link| link.tcx_info().ok()?).map(|info| info.program_id))
}

/// The devices that there are pins for, whether the device is there or not.
///
/// # Errors
/// [`KernelError::Path`].
pub fn devices(links: &Path) -> Result<Vec<u32>, KernelError> {
    let failed = |source| KernelError::path(links, "read directory", source);
    let entries = match fs::read_dir(links) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut devices = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        // A pin that an agent left which was killed before it renamed it counts too.
        let name = name.to_str().map(|name| name.strip_suffix("_new").unwrap_or(name));
        devices.extend(name.and_then(PacketHook::parse).map(|(_, device)| device));
    }
    Ok(devices)
}

/// The pinned link, if there is one and it is what its name says.
fn open(pin: &Path, device: u32, hook: PacketHook) -> Result<Option<LinkFd>, KernelError> {
    let link = match LinkFd::open(pin) {
        Ok(link) => link,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KernelError::path(pin, "BPF_OBJ_GET", source)),
    };
    let info = link.tcx_info().map_err(|source| KernelError::path(pin, "BPF_OBJ_GET_INFO_BY_FD", source))?;
    let fits = info.is_some_and(|info| info.device == device && info.attach_type == hook.tcx() as u32);
    Ok(fits.then_some(link))
}

/// Whether the kernel runs a link's program on this device. A link goes with its device into another network
/// namespace, where its index may be the same.
fn is_running(link: &LinkFd, device: u32, hook: PacketHook) -> bool {
    let Ok(Some(info)) = link.tcx_info() else { return false };
    tcx_links(device, hook.tcx()).is_ok_and(|links| links.contains(&info.link_id))
}
