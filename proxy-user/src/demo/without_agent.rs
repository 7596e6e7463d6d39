//! Act: the agent ends, and what it has programmed goes on serving; then the programs go, too.

use super::{
    ask::{Way, ask},
    report::Report,
    spread,
    stage::Stage,
    target::Target,
    text, wait_until,
};
use crate::model::Protocol;
use std::time::Duration;

/// Questions to each address from each client.
const QUESTIONS: usize = 150;
/// How long programs may still be seen after their pins are gone.
const DETACHED: Duration = Duration::from_secs(2);

/// Plays it.
pub fn play(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    report.act("Without the agent", "ended by SIGTERM; maps and programs stay in the kernel")?;
    let pods = stage.pods();
    report.columns(&pods)?;
    let mut faults = Vec::new();
    let status = stage.agent.stop(&stage.interrupt)?;
    if !status.success() {
        faults.push(format!("the agent ended with {status}; its log ends:\n{}", stage.agent.log_end()));
    }
    let targets = spread::targets(stage)?;
    let mut asked = 0;
    for target in &targets {
        let answers = spread::ask(stage, target, QUESTIONS)?;
        asked += answers.asked() - answers.failed();
        report.spread(&target.row(), &pods, &answers)?;
        faults.extend(answers.faults(target));
    }
    stage.remove_pins()?;
    for target in &targets {
        // The kernel lets go of an unpinned link from a work queue.
        if !wait_until(DETACHED, &stage.interrupt, || Ok(!answers(stage, target)?))? {
            faults.push(format!("{target}: still answers {DETACHED:?} after the programs were removed"));
        }
    }
    let asked = text::count(asked);
    report.verdict(
        format_args!("{asked} new connections answered; none any more once the pins are removed"),
        faults,
    )?;
    Ok(())
}

/// Whether a client gets an answer. Without the programs connect() fails at once: nothing in the lab has a
/// route to the Service.
fn answers(stage: &Stage, target: &Target) -> anyhow::Result<bool> {
    let way = if target.protocol == Protocol::Udp { Way::UdpConnected } else { Way::Tcp };
    let [node, _] = stage.clients();
    Ok(node.run(|| ask(way, target.address))?.is_ok())
}
