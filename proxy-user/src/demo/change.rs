//! Act: a pod leaves a Service and another joins while clients go on connecting.

use super::{
    ask::Way,
    crowd::{self, Client, Heard, Pace},
    held::{Connection, Held as _},
    report::Report,
    save::save,
    stage::Stage,
    target::{Target, WEB},
    text,
};
use crate::model::{Family, Protocol};
use anyhow::Context as _;
use std::time::Duration;

const PACE: Pace = Pace { lasts: Duration::from_millis(500), questions: 300 };

/// Plays it.
pub fn play(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let web = || Family::BOTH.iter().map(|family| stage.target(WEB, Protocol::Tcp, *family));
    let targets = web().collect::<anyhow::Result<Vec<_>>>()?;
    let all = stage.pods();
    let (first, leaver) = match targets[0].pods.split_last() {
        Some((leaver, rest)) if !rest.is_empty() => (&targets[0].pods, leaver),
        _ => anyhow::bail!("{WEB} needs two pods or more, to take one out"),
    };
    let joiner = all.iter().find(|pod| !first.contains(pod)).context("every pod serves web already")?;
    let without: Vec<_> = first.iter().filter(|pod| *pod != leaver).cloned().collect();
    let with: Vec<_> = without.iter().chain([joiner]).cloned().collect();
    report.act("Change", "pods leave and join while two clients connect without a pause")?;
    report.columns(&all)?;

    let [node, _] = stage.clients();
    let mut held = node.run(|| Connection::to(leaver, targets[0].address))??;
    let client =
        |(place, target): (_, &Target)| Client { place, way: Way::Tcp, addresses: vec![target.address] };
    let clients: Vec<_> = stage.clients().into_iter().zip(&targets).map(client).collect();
    let (took, each) = crowd::watch(&clients, PACE, &stage.interrupt, |clock| {
        let left = clock.change(|| save(stage, WEB, &without, &[]))?;
        let joined = clock.change(|| save(stage, WEB, &with, &[]))?;
        Ok([left, joined])
    })?;

    let mut heard = Heard::default();
    each.into_iter().for_each(|of_client| heard.add(of_client));
    let labels = [
        "as in the manifests".to_owned(),
        format!("without {leaver}, {} after saving", text::time(took[0])),
        format!("with {joiner}, {} after saving", text::time(took[1])),
    ];
    let mut faults: Vec<_> = heard.between.failures("while the set changed").into_iter().collect();
    for ((label, pods), answers) in labels.iter().zip([first, &without, &with]).zip(&heard.settled) {
        report.spread(label, &all, answers)?;
        faults.extend(answers.faults_among(label, pods));
    }
    if let Err(error) = held.ask() {
        faults.push(format!("the connection that was made to {leaver} before it left: {error}"));
    }
    let (made, failed) = heard.asked_and_failed();
    let made = text::count(made);
    report.verdict(
        format_args!("{made} connections, {failed} failed; one made to {leaver} before still talks to it"),
        faults,
    )?;
    Ok(())
}
