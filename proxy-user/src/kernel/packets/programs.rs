//! The loaded packet programs: attached to a device and told what it is, or taken from it.

use super::attached::{AttachedBy, DeviceAttachment, attached};
use super::hook::PacketHook;
use super::{clsact, tcx};
use crate::kernel::bpffs::PinDirs;
use crate::kernel::error::KernelError;
use crate::kernel::object;
use crate::kernel::pinned::open_pin;
use crate::kernel::sys::{Access, MapFd};
use crate::kernel::watchman::{Held, Hook};
use crate::kernel::wire::MappedArray;
use aya::Ebpf;
use aya::programs::{Program, ProgramFd};
use proxy_common::abi::{DeviceEntry, PacketSettings};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use zerocopy::IntoBytes;

/// The packet programs of one pin path. Dropping it leaves what is attached attached.
///
/// An index names a device of the calling thread's network namespace, which therefore must be the node's.
#[derive(Debug)]
pub struct PacketPrograms {
    ingress: ProgramFd,
    egress: ProgramFd,
    entries: MapFd,
    settings: MappedArray<PacketSettings>,
    links: PathBuf,
    /// Whether the kernel has tcx, once it was tried.
    has_tcx: Option<bool>,
    /// tcx links, which stay as long as they are held, whatever becomes of their pins.
    held: BTreeMap<(u32, PacketHook), Held>,
    /// Another version's programs are to go on: these are not attached yet.
    stands_by: bool,
}

impl PacketPrograms {
    /// Takes the programs, which are loaded; with `clsact` they are attached by filters, even where the kernel
    /// has tcx.
    pub(in crate::kernel) fn new(ebpf: &Ebpf, dirs: &PinDirs, clsact: bool) -> Result<Self, KernelError> {
        let shapes = object::shapes()?;
        let packets = open_pin(dirs, &shapes, object::PACKETS, Access::ReadWrite)?;
        let settings = MappedArray::new(packets, Access::ReadWrite).map_err(|source| KernelError::Call {
            object: object::PACKETS,
            call: "mmap",
            source,
        })?;
        Ok(Self {
            ingress: program(ebpf, PacketHook::Ingress)?,
            egress: program(ebpf, PacketHook::Egress)?,
            entries: open_pin(dirs, &shapes, object::DEVICES, Access::ReadWrite)?,
            settings,
            links: dirs.links.clone(),
            has_tcx: clsact.then_some(false),
            held: BTreeMap::new(),
            stands_by: false,
        })
    }

    /// Takes other programs for these, and leaves what is attached as it is.
    pub(in crate::kernel) fn take(&mut self, ebpf: &Ebpf) -> Result<(), KernelError> {
        (self.ingress, self.egress) =
            (program(ebpf, PacketHook::Ingress)?, program(ebpf, PacketHook::Egress)?);
        Ok(())
    }

    /// Takes other programs for these, and puts them in their place on every device without a gap. Devices that are gone
    /// are none.
    pub(in crate::kernel) fn replace(&mut self, ebpf: &Ebpf) -> Result<(), KernelError> {
        self.take(ebpf)?;
        for attachment in self.attached()? {
            for hook in PacketHook::BOTH {
                self.replace_one(&attachment, hook)?;
            }
        }
        Ok(())
    }

    /// Attaches both programs to a device, in the place of former ones without a gap, and then lets them translate
    /// its packets. Calling it again changes the entry, and repairs what others have detached.
    ///
    /// # Errors
    /// [`KernelError::Device`] or [`KernelError::Path`]; the device's packets are then left alone. The call may
    /// be repeated. [`KernelError::is_gone`]: there is no such device.
    pub fn attach(&mut self, device: u32, entry: &DeviceEntry) -> Result<(), KernelError> {
        if self.stands_by {
            return self.publish(device, entry);
        }
        if let Err(error) = self.attach_both(device) {
            // One of the two alone would translate one way only.
            self.withdraw(device)?;
            return Err(error);
        }
        self.publish(device, entry)
    }

    /// Tells the programs on a device that are attached what it is like now.
    ///
    /// # Errors
    /// [`KernelError::Device`].
    pub fn publish(&mut self, device: u32, entry: &DeviceEntry) -> Result<(), KernelError> {
        self.entries
            .update(&device.to_ne_bytes(), entry.as_bytes())
            .map_err(|source| KernelError::device(device, "BPF_MAP_UPDATE_ELEM of DEVICES", source))
    }

    /// Leaves the packets of a device alone, and detaches the programs; that it has none, or is gone, is no error.
    ///
    /// # Errors
    /// [`KernelError::Device`] or [`KernelError::Path`]; the call may be repeated.
    pub fn detach(&mut self, device: u32) -> Result<(), KernelError> {
        self.withdraw(device)?;
        tcx::detach(&self.links, device)?;
        for hook in PacketHook::BOTH {
            if let Some(link) = self.held.remove(&(device, hook)).as_ref().and_then(Held::as_link) {
                // Its pin may have gone before. ENOLINK: it was detached by that one.
                let _ = link.detach();
            }
        }
        clsact::detach(&self.links, device)
    }

    /// The devices that the programs are attached to, also those of which only a trace is left, by index.
    ///
    /// # Errors
    /// Of the call that failed.
    pub fn attached(&self) -> Result<Vec<DeviceAttachment>, KernelError> {
        attached(&self.links, &self.entries)
    }

    /// How the programs work.
    #[must_use]
    pub fn settings(&self) -> PacketSettings {
        self.settings.get(0).unwrap_or_default()
    }

    /// Says how they work, from the next packet on. Without source ports no new flow is sent on in the node's name.
    pub fn set_settings(&mut self, settings: &PacketSettings) {
        let stored = self.settings.put(0, settings);
        debug_assert!(stored, "PACKETS has one entry");
    }

    /// Attaches nothing to devices from now on; what is told of them is kept.
    pub(in crate::kernel) const fn stand_by(&mut self) {
        self.stands_by = true;
    }

    /// Attaches the programs of this object to the devices that were told, in the place of another version's. Maps may
    /// have grown since others were taken.
    pub(in crate::kernel) fn begin(&mut self, ebpf: &Ebpf) -> Result<(), KernelError> {
        self.take(ebpf)?;
        self.stands_by = false;
        for attachment in self.attached()? {
            let Some(entry) = attachment.entry else { continue };
            match self.attach(attachment.device, &entry) {
                Err(error) if !error.is_gone() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the filters of another version of Shunt, which has its links there, our names and these programs: those of
    /// the last [`Self::take`], [`Self::replace`] or [`Self::begin`].
    pub(in crate::kernel) fn adopt(&self, former: &Path) -> Result<(), KernelError> {
        for device in clsact::devices()? {
            for hook in PacketHook::BOTH {
                match clsact::adopt(former, &self.links, device, hook, self.program(hook)) {
                    Err(error) if !error.is_gone() => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn replace_one(&self, attachment: &DeviceAttachment, hook: PacketHook) -> Result<(), KernelError> {
        let device = attachment.device;
        if tcx::replace(&self.links, device, hook, self.program(hook))?
            || attachment.by != Some(AttachedBy::Clsact)
        {
            return Ok(());
        }
        match clsact::attach(&self.links, device, hook, self.program(hook)) {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }

    fn attach_both(&mut self, device: u32) -> Result<(), KernelError> {
        if self.has_tcx != Some(false) {
            let mut whole = true;
            for hook in PacketHook::BOTH {
                whole = whole && tcx::attach(&self.links, device, hook, self.program(hook))?;
            }
            // That it has none shows at the first device; later EINVAL would have another reason.
            self.has_tcx = self.has_tcx.or(Some(whole));
            if whole {
                self.hold(device);
                // What an agent on another kernel, or with other options, has left.
                return clsact::detach(&self.links, device);
            }
        }
        for hook in PacketHook::BOTH {
            clsact::attach(&self.links, device, hook, self.program(hook))?;
        }
        self.held.retain(|(held, _), _| *held != device);
        tcx::detach(&self.links, device)
    }

    /// Keeps the links of a device open.
    fn hold(&mut self, device: u32) {
        for hook in PacketHook::BOTH {
            let link = Held::link(Hook::on(hook.program(), device), self.links.join(hook.pin(device)));
            // One that cannot be opened is found by the next look.
            self.held.extend(link.ok().map(|link| ((device, hook), link)));
        }
    }

    /// What is held, to be pinned again.
    pub(in crate::kernel) fn held_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.held.values_mut()
    }

    /// The link by which a program runs on a device, if it does so by tcx.
    pub(in crate::kernel) fn held(&self, device: u32, hook: PacketHook) -> Option<&Held> {
        self.held.get(&(device, hook))
    }

    /// Where its links are pinned, by whose paths filters are named too.
    pub(in crate::kernel) fn links(&self) -> &Path {
        &self.links
    }

    /// Whether the programs know of a device.
    pub(in crate::kernel) fn is_published(&self, device: u32) -> io::Result<bool> {
        match self.entries.lookup(&device.to_ne_bytes()) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(in crate::kernel) fn program(&self, hook: PacketHook) -> BorrowedFd<'_> {
        match hook {
            PacketHook::Egress => self.egress.as_fd(),
            PacketHook::Ingress => self.ingress.as_fd(),
        }
    }

    fn withdraw(&self, device: u32) -> Result<(), KernelError> {
        match self.entries.delete(&device.to_ne_bytes()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(KernelError::device(device, "BPF_MAP_DELETE_ELEM of DEVICES", error))
            }
            _ => Ok(()),
        }
    }
}

fn program(ebpf: &Ebpf, hook: PacketHook) -> Result<ProgramFd, KernelError> {
    let name = hook.program();
    let Some(Program::SchedClassifier(program)) = ebpf.program(name) else {
        return Err(KernelError::Object { object: name });
    };
    let fd = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
    fd.map_err(|source| KernelError::program(name, "dup", source))
}
