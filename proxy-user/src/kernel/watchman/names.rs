//! Who programs are. An id is given once until the kernel has counted through 32 bits, so what it says of one is kept.

use crate::kernel::sys::ProgramInfo;
use std::collections::BTreeMap;

/// More programs than this are forgotten: others come and go for ever on a node.
const MOST: usize = 256;

/// What is known of programs, by id.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<u32, ProgramInfo>);

impl Names {
    /// Asks for one, if it was not asked for before. `None` if it is gone or may not be asked for.
    pub fn get(&mut self, id: u32) -> Option<&ProgramInfo> {
        if !self.0.contains_key(&id) {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            self.0.insert(id, ProgramInfo::by_id(id).ok()??);
        }
        self.0.get(&id)
    }

    /// A program in a sentence.
    pub fn text(&mut self, id: u32) -> String {
        self.get(id).map_or_else(|| format!("program {id}"), ToString::to_string)
    }

    /// The name that the kernel knows a program by.
    pub fn name(&mut self, id: u32) -> String {
        self.get(id).map(|program| program.name.clone()).unwrap_or_default()
    }
}
