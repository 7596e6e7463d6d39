//! From the entries of another agent's map to those of ours.

use super::super::object::{FRONTENDS4, FRONTENDS6, MapName};
use super::super::sys::MapFd;
use super::conversion::{Conversion, Dropped, Misfit, Why};
use super::map::MapLayout;
use super::types::Shape;
use proxy_common::abi::{FrontendKey4, FrontendKey6, FrontendValue};
use std::io;
use zerocopy::{FromBytes, IntoBytes};

/// How the entries of one map become those of another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapConversion {
    key: Conversion,
    value: Conversion,
    check: Check,
}

/// Whether values hold bits of their keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Check {
    None,
    Frontend4,
    Frontend6,
}

impl MapConversion {
    /// From the entries of `former`, whoever made it, to those of our own map `name`.
    ///
    /// # Errors
    /// [`Why`] they cannot be.
    pub fn into_ours(former: &MapFd, name: MapName) -> Result<Self, Why> {
        let from = MapLayout::of(former)?.ok_or(Why::Undescribed)?;
        let ours = MapLayout::of_object(name).map_err(io::Error::other)?;
        Self::between(&from, ours.ok_or(Why::Undescribed)?, name)
    }

    /// From one layout of map `name` to another one. Bits of the key that values of FRONTENDS hold are made anew, as
    /// this version makes them, so there `to` is ours.
    ///
    /// # Errors
    /// [`Why`] that cannot be.
    pub fn between(from: &MapLayout, to: &MapLayout, name: MapName) -> Result<Self, Why> {
        let check = match name {
            FRONTENDS4 => Check::Frontend4,
            FRONTENDS6 => Check::Frontend6,
            _ => Check::None,
        };
        if check != Check::None
            && let (Shape::Fields(known), Shape::Fields(wanted)) = (&from.value.shape, &to.value.shape)
            && let Some(lacking) = wanted.iter().find(|new| known.iter().all(|old| old.name != new.name))
        {
            return Err(Why::Lacking { path: format!("value.{}", lacking.name) });
        }
        Ok(Self {
            key: Conversion::new(&from.key, &to.key, "key", Dropped::Zero)?,
            value: Conversion::new(&from.value, &to.value, "value", Dropped::Any)?,
            check,
        })
    }

    /// Of keys alone. Fields that have no place must be zero, or two entries could become one.
    #[must_use]
    pub const fn key(&self) -> &Conversion {
        &self.key
    }

    /// Of values alone: those of arrays, or of per-CPU maps by [`Conversion::convert_padded`].
    #[must_use]
    pub const fn value(&self) -> &Conversion {
        &self.value
    }

    /// Whether all bytes stay as they are.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.key.is_identity() && self.value.is_identity() && self.check == Check::None
    }

    /// Converts an entry as a call reads it: a key and a value, or the values of all CPUs, each padded to 8 bytes.
    ///
    /// # Errors
    /// As for [`Self::entry`].
    pub fn turned(&self, key: &[u8], value: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Misfit> {
        let (from, to) = self.value.sizes();
        let mut turned = (vec![0; self.key.sizes().1], vec![0; to]);
        if value.len() == from {
            self.entry((key, value), &mut turned.0, &mut turned.1)?;
        } else {
            turned.1 = vec![0; value.len() / from.next_multiple_of(8).max(8) * to.next_multiple_of(8)];
            self.key.convert(key, &mut turned.0)?;
            self.value.convert_padded(value, &mut turned.1)?;
        }
        Ok(turned)
    }

    /// Converts one entry of a map that has one value under each key.
    ///
    /// # Errors
    /// [`Misfit`]: this entry cannot be said in the other layout.
    pub fn entry(&self, from: (&[u8], &[u8]), key: &mut [u8], value: &mut [u8]) -> Result<(), Misfit> {
        self.key.convert(from.0, key)?;
        self.value.convert(from.1, value)?;
        let check = match self.check {
            Check::None => return Ok(()),
            Check::Frontend4 => FrontendKey4::read_from_bytes(key).map(|key| key.check()).ok(),
            Check::Frontend6 => FrontendKey6::read_from_bytes(key).map(|key| key.check()).ok(),
        };
        let (found, expected) = (value.len(), size_of::<FrontendValue>());
        let former = FrontendValue::read_from_bytes(value).ok();
        let (check, former) = check.zip(former).ok_or(Misfit::Length { found, expected })?;
        value.copy_from_slice(FrontendValue::new(former.service, former.kind(), check).as_bytes());
        Ok(())
    }
}
