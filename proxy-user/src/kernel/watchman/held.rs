//! Maps and links that are held open, so that they stay when their pins go, and are pinned again.

use super::aside::move_aside;
use super::finding::{Fault, Finding, Hook};
use crate::kernel::error::KernelError;
use crate::kernel::sys::{LinkFd, MapFd, ObjectKind, open_any};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A descriptor of what is pinned.
#[derive(Debug)]
enum Object {
    Map(MapFd),
    Link(LinkFd),
}

/// An object that should lie pinned at a path.
#[derive(Debug)]
pub struct Held {
    hook: Hook,
    pin: PathBuf,
    object: Object,
    id: u32,
    /// Device and inode of the pin when it was last found to be this object: as long as they are the same, so is it, and one
    /// stat(2) tells.
    seen: Option<(u64, u64)>,
}

impl Held {
    /// Opens a map that is pinned.
    pub fn map(name: &'static str, pin: PathBuf) -> io::Result<Self> {
        let (kind, fd) = open_any(&pin)?;
        if kind != ObjectKind::Map {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let map = MapFd::from_fd(fd)?;
        let (hook, seen, id) = (Hook::new(name), inode(&pin), map.id());
        Ok(Self { hook, seen, pin, object: Object::Map(map), id })
    }

    /// Opens a link that is pinned.
    pub fn link(hook: Hook, pin: PathBuf) -> io::Result<Self> {
        let (kind, fd) = open_any(&pin)?;
        if kind != ObjectKind::Link {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let link = LinkFd::from(fd);
        let id = link.id()?;
        Ok(Self { hook, seen: inode(&pin), pin, object: Object::Link(link), id })
    }

    /// What it belongs to.
    pub const fn hook(&self) -> Hook {
        self.hook
    }

    /// Id of the map or link.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The link, if it is one.
    pub const fn as_link(&self) -> Option<&LinkFd> {
        match &self.object {
            Object::Link(link) => Some(link),
            Object::Map(_) => None,
        }
    }

    /// The map, if it is one.
    pub const fn as_map(&self) -> Option<&MapFd> {
        match &self.object {
            Object::Map(map) => Some(map),
            Object::Link(_) => None,
        }
    }

    /// Pins it again if it is not pinned, moving aside what lies there. Says what was the matter, if anything was.
    ///
    /// # Errors
    /// Of the call that failed; what was the matter is then still so.
    pub fn restore(&mut self, pin_path: &Path) -> Result<Option<Finding>, KernelError> {
        let now = inode(&self.pin);
        if now.is_some() && now == self.seen {
            return Ok(None);
        }
        let finding = if now.is_none() {
            Finding::new(self.hook, Fault::Unpinned, "its pin was gone")
        } else if self.lies_there() {
            self.seen = now;
            return Ok(None);
        } else {
            let to = move_aside(pin_path, &self.pin)?;
            let to = to.map_or_else(|| "nowhere".to_owned(), |to| to.display().to_string());
            let text = format!("something else was pinned in its place, and lies at {to} now");
            Finding::new(self.hook, Fault::ForeignPin, text)
        };
        let pinned = match &self.object {
            Object::Map(map) => map.pin(&self.pin),
            Object::Link(link) => link.pin(&self.pin),
        };
        pinned.map_err(|source| KernelError::path(&self.pin, "BPF_OBJ_PIN", source))?;
        self.seen = inode(&self.pin);
        Ok(Some(finding))
    }

    /// Whether what is pinned there is this very object, after all.
    fn lies_there(&self) -> bool {
        let Ok((kind, fd)) = open_any(&self.pin) else { return false };
        let id = match (&self.object, kind) {
            (Object::Map(_), ObjectKind::Map) => MapFd::from_fd(fd).map(|map| map.id()),
            (Object::Link(_), ObjectKind::Link) => LinkFd::from(fd).id(),
            _ => return false,
        };
        id.is_ok_and(|id| id == self.id)
    }
}

/// What lies at a path itself: a symbolic link is no pin.
fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
