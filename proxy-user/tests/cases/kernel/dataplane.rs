//! A dataplane and, beside it, an engine over maps in memory that is told the same: after every change both must
//! hold the same, so `shunt dump` shows what `shunt plan` does.

use super::{
    super::{agent::Agent, case::Case, memory::CAPACITIES},
    stage::Stage,
};
use proxy_common::abi::Counter;
use shunt::{
    dataplane::Dataplane,
    engine::{Engine, Rules, SyncReport},
    kernel::KernelMaps,
    model::Event,
    table::Conflict,
    view::{PortView, decode, decode_node},
    writer::{MapReader, MemoryMaps},
};

pub struct InKernel<'a> {
    case: &'a Case,
    rules: Rules,
    /// Absent for a moment while another one takes over.
    dataplane: Option<Dataplane>,
    memory: Engine<MemoryMaps>,
}

impl<'a> InKernel<'a> {
    pub fn open(case: &'a Case, stage: &Stage) -> Result<Self, String> {
        let rules = case.rules()?;
        let dataplane = Some(stage.open(&case.node, &rules)?);
        let memory = MemoryMaps::new(&CAPACITIES);
        let memory =
            Engine::new(case.node.as_str(), rules.clone(), memory).map_err(|error| error.to_string())?;
        Ok(Self { case, rules, dataplane, memory })
    }

    /// Another agent takes over.
    pub fn restart(&mut self, stage: &Stage) -> Result<(), String> {
        // The pin path is free once the former one has gone.
        self.dataplane = None;
        self.dataplane = Some(stage.open(&self.case.node, &self.rules)?);
        let memory = self.memory.writer().clone();
        let memory = Engine::new(self.case.node.as_str(), self.rules.clone(), memory);
        self.memory = memory.map_err(|error| error.to_string())?;
        Ok(())
    }

    pub fn counter(&self, counter: Counter) -> Result<u64, String> {
        self.dataplane().counter(counter).map_err(|error| error.to_string())
    }

    fn dataplane(&self) -> &Dataplane {
        self.dataplane.as_ref().expect("an agent is running")
    }
}

impl Agent for InKernel<'_> {
    type Maps = KernelMaps;

    fn apply(&mut self, event: Event) {
        self.memory.apply(event.clone());
        self.dataplane.as_mut().expect("an agent is running").apply(event);
    }

    fn sync(&mut self) -> Result<SyncReport, String> {
        let dataplane = self.dataplane.as_mut().expect("an agent is running");
        let report = dataplane.sync().map_err(|error| error.to_string())?;
        self.memory.sync().map_err(|error| error.to_string())?;
        let (dump, plan) = (shown(self.maps())?, shown(self.memory.writer())?);
        if dump == plan { Ok(report) } else { Err(format!("the kernel holds {dump:#?}, memory {plan:#?}")) }
    }

    fn settle(&mut self) -> Result<(), String> {
        let dataplane = self.dataplane.as_mut().expect("an agent is running");
        dataplane.settle().map_err(|error| error.to_string())?;
        self.memory.settle().map_err(|error| error.to_string())
    }

    fn conflicts(&self) -> Vec<Conflict> {
        self.dataplane().conflicts()
    }

    fn maps(&self) -> &KernelMaps {
        self.dataplane().engine().writer()
    }
}

/// All that `plan` and `dump` show.
type Shown = ((String, Option<String>), Vec<PortView>);

fn shown(maps: &impl MapReader) -> Result<Shown, String> {
    let ports = decode(maps).map_err(|error| error.to_string())?;
    // Where in the maps a service port lies is its own business.
    let ports = ports.into_iter().map(|port| PortView { index: 0, ..port }).collect();
    Ok((decode_node(maps), ports))
}
