//! What the packet path reads and writes beside [`Tables`].

use super::FlowTouch;
use crate::abi::{DeviceEntry, FlowEntry, FragmentKey, PacketSettings, Ports, Tuple};
use crate::datapath::{SECOND, Tables};

/// Why an entry was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InsertError {
    /// One is there.
    Exists,
    /// There is no room.
    Full,
}

/// What these maps may not know because it stands in those of programs that were replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// Nothing: nobody was replaced.
    Nothing,
    /// What is under way. What begins is ours.
    Flows,
    /// All that is not known here.
    All,
}

/// The packet path's own maps.
pub trait PacketTables: Tables {
    /// What is left to the programs that were replaced.
    #[inline(always)]
    fn unknown(&self) -> Unknown {
        Unknown::Nothing
    }
    /// Seconds of CLOCK_MONOTONIC, or one less.
    #[inline(always)]
    fn seconds(&self) -> u32 {
        (self.now() / SECOND) as u32
    }
    /// Looks up FLOWS; false where no entry is.
    fn flow(&self, key: &Tuple, into: &mut FlowEntry) -> bool;
    /// Writes an entry of FLOWS that is not there yet.
    fn insert_flow(&self, key: &Tuple, entry: &FlowEntry) -> Result<(), InsertError>;
    /// Notes in an entry of FLOWS what was seen; false if it is not there.
    fn touch_flow(&self, key: &Tuple, touch: &FlowTouch) -> bool;
    /// Removes an entry of FLOWS, if it is there.
    fn forget_flow(&self, key: &Tuple);
    /// Looks up FRAGMENTS.
    fn fragment(&self, key: &FragmentKey) -> Option<Ports>;
    /// Writes FRAGMENTS.
    fn remember_fragment(&self, key: &FragmentKey, ports: Ports);
    /// Looks up DEVICES.
    fn device(&self, device: u32) -> Option<DeviceEntry>;
    /// How the packet path works.
    fn settings(&self) -> PacketSettings;
    /// Adds to the totals of a service port what packets have carried.
    fn account(&self, service: u32, flows: u32, bytes: u32, reply: bool);
}
