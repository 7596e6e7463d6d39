//! Plays the steps of a case to an agent, and compares.

use super::{
    agent::Agent,
    case::{Case, Dial, Explain, Flow, Step},
    expectation,
    health::Told,
    manifests::{Manifests, Understood},
    plan,
};
use shunt::{
    engine::SyncReport,
    explain::{Answer, explain},
    model::Event,
};

/// Where a case is played: the agent, and clients that dial.
pub trait Place {
    type Agent: Agent;

    fn agent(&mut self) -> &mut Self::Agent;

    /// Ends the agent and begins another one over the same maps.
    fn restart(&mut self) -> Result<(), String>;

    /// Makes ready for the questions and dials of a step that was programmed.
    fn prepare(&mut self, step: &Step) -> Result<(), String>;

    /// Dials what a question is about, as a socket does; the tables have given the right answer.
    fn ask(&mut self, expected: &Explain, answer: &Answer) -> Result<(), String>;

    /// Makes a connection. False if this and what follows cannot be played here.
    fn dial(&mut self, dial: &Dial) -> Result<bool, String>;

    /// Makes a connection and keeps it, where connections are made of more than decisions.
    fn begin(&mut self, flow: &Flow) -> Result<(), String>;

    /// Finds that every connection that is kept goes on.
    fn flows_go_on(&mut self) -> Result<(), String>;
}

/// Plays a case from its first step to the deletion of everything.
pub fn play(case: &Case, place: &mut impl Place) -> Result<(), String> {
    let mut manifests = Manifests::new()?;
    let (mut restless, mut dialling, mut told) = (None, true, Told::default());
    for (number, step) in (1..).zip(&case.steps) {
        let name = step.when.as_deref().map_or_else(String::new, |when| format!(" ({when})"));
        let outcome = play_step(step, place, &mut manifests, &mut restless, &mut dialling, &mut told);
        outcome.map_err(|failure| format!("step {number}{name}: {failure}"))?;
    }
    let end = manifests.delete_all().and_then(|understood| {
        understood.events.into_iter().for_each(|event| place.agent().apply(event));
        place.agent().apply(Event::LocalAddresses(Vec::new()));
        told.hear(&place.agent().sync()?.health);
        told.check(&[], Some(&Vec::new()))?;
        place.agent().settle()?;
        place.flows_go_on()?;
        if place.agent().copy()?.is_empty() { Ok(()) } else { Err("the maps are not empty".to_owned()) }
    });
    end.map_err(|failure| format!("after every object was deleted: {failure}"))
}

fn play_step(
    step: &Step,
    place: &mut impl Place,
    manifests: &mut Manifests,
    local: &mut Option<Event>,
    dialling: &mut bool,
    told: &mut Told,
) -> Result<(), String> {
    if step.restart {
        place.restart()?;
        manifests.forget();
        *told = Told::default();
    }
    let Understood { events, problems } = manifests.step(step)?;
    if let Some(addresses) = &step.local_addresses {
        *local = Some(Event::LocalAddresses(addresses.clone()));
    }
    let agent = place.agent();
    local.iter().cloned().chain(events).for_each(|event| agent.apply(event));
    let report = agent.sync()?;
    let expect = &step.expect;
    expectation::warnings(&expect.warnings, &problems)?;
    let writes = writes(&report);
    if let Some(expected) = expect.writes.filter(|expected| *expected != writes) {
        return Err(format!("{writes} writes to maps, not {expected}: {report:?}"));
    }
    expectation::same("conflicts", &expect.conflicts, &plan::conflicts(&agent.conflicts()))?;
    if let Some(expected) = &expect.plan {
        expectation::none("the plan differs", &plan::differences(expected, &agent.ports()?))?;
    }
    told.hear(&report.health);
    told.check(&agent.ports()?, expect.health.as_ref())?;
    place.prepare(step)?;
    for expected in &expect.explain {
        let question = expected.from.question(expected.dial);
        let copy = place.agent().copy()?;
        let answer = explain(&copy, &question).map_err(|error| error.to_string())?;
        let about = |failure| format!("{} from {}: {failure}", expected.dial, expected.from);
        expectation::answer(expected, &answer).map_err(about)?;
        place.ask(expected, &answer).map_err(about)?;
    }
    for (number, dial) in (1..).zip(&step.dials) {
        let about = |failure| format!("dial {number}, {} from {}: {failure}", dial.to, dial.from);
        *dialling = *dialling && place.dial(dial).map_err(about)?;
    }
    place.flows_go_on()?;
    step.flows.iter().try_for_each(|flow| place.begin(flow))
}

/// Writes of every kind.
const fn writes(report: &SyncReport) -> usize {
    report.stores + report.puts + report.deletes + report.prefixes
}
