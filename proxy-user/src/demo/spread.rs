//! Act: a ClusterIP stands for many pods, and each gets its share.

use super::{
    ask::{Answers, Way},
    report::Report,
    stage::Stage,
    target::{DNS, Target, WEB},
    text,
};
use crate::model::{Family, Protocol};

/// Questions to each address from each client.
const QUESTIONS: usize = 600;

/// Plays it.
pub fn play(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let asked = text::count(2 * QUESTIONS);
    report.act("Spread", format_args!("{asked} connections each, half from the node, half from a pod"))?;
    let pods = stage.pods();
    report.columns(&pods)?;
    let mut faults = Vec::new();
    for target in targets(stage)? {
        let answers = ask(stage, &target, QUESTIONS)?;
        report.spread(&target.row(), &pods, &answers)?;
        faults.extend(answers.faults(&target));
    }
    report
        .verdict("every pod gives its share, and clients see the Service's address as their peer", faults)?;
    Ok(())
}

/// The addresses of the services that somebody serves.
pub fn targets(stage: &Stage) -> anyhow::Result<Vec<Target>> {
    let services = [(WEB, Protocol::Tcp), (DNS, Protocol::Udp)];
    let each = services.into_iter().flat_map(|service| Family::BOTH.map(|family| (service, family)));
    each.map(|((service, protocol), family)| stage.target(service, protocol, family)).collect()
}

/// Asks from the node and from a pod, each so many times and in a way of its own.
pub fn ask(stage: &Stage, target: &Target, times: usize) -> anyhow::Result<Answers> {
    let mut all = Answers::default();
    for (place, way) in stage.clients().iter().zip(Way::of(target.protocol)) {
        let interrupt = &stage.interrupt;
        all.add(place.run(|| Answers::gather(way, target.address, times, interrupt))?);
        interrupt.check()?;
    }
    Ok(all)
}
