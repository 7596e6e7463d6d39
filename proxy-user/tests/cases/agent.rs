//! What a case is played to: an engine over maps in memory, or a dataplane in the kernel.

use shunt::{
    engine::{Engine, SyncReport},
    model::Event,
    table::Conflict,
    view::{PortView, decode},
    writer::{MapReader, MemoryMaps, Writer},
};

/// What an engine and a dataplane have in common.
pub trait Agent {
    type Maps: MapReader;

    fn apply(&mut self, event: Event);
    fn sync(&mut self) -> Result<SyncReport, String>;
    fn settle(&mut self) -> Result<(), String>;
    fn conflicts(&self) -> Vec<Conflict>;
    fn maps(&self) -> &Self::Maps;

    /// Every service port that is programmed.
    fn ports(&self) -> Result<Vec<PortView>, String> {
        decode(self.maps()).map_err(|error| error.to_string())
    }

    /// The maps as they are now, to ask as often as one likes.
    fn copy(&self) -> Result<MemoryMaps, String> {
        MemoryMaps::copy_of(self.maps()).map_err(|error| error.to_string())
    }
}

impl<W: Writer + MapReader> Agent for Engine<W> {
    type Maps = W;

    fn apply(&mut self, event: Event) {
        Self::apply(self, event);
    }

    fn sync(&mut self) -> Result<SyncReport, String> {
        Self::sync(self).map_err(|error| error.to_string())
    }

    fn settle(&mut self) -> Result<(), String> {
        Self::settle(self).map_err(|error| error.to_string())
    }

    fn conflicts(&self) -> Vec<Conflict> {
        Self::conflicts(self)
    }

    fn maps(&self) -> &W {
        self.writer()
    }
}
