//! Act: a pod terminates. New connections go elsewhere at once; it serves on those that it has, and
//! everybody while it is the last one. Then it is gone, and nobody waits for it in vain.

use super::{
    ask::{Answers, Way},
    crowd::{self, Client, Heard, Pace},
    held::{ConnectedUdp, Connection, Held, UnconnectedUdp},
    report::Report,
    save::save,
    stage::Stage,
    target::{DNS, Target},
    text, wait_until,
};
use crate::model::Protocol;
use anyhow::Context as _;
use std::time::{Duration, Instant};

const PACE: Pace = Pace { lasts: Duration::from_millis(150), questions: 150 };
/// Questions by each socket that is kept, in each state.
const QUESTIONS: usize = 20;
/// How long it may take until the socket of a removed backend is closed: the agent looks a second after a
/// change, and a second later once more if others came meanwhile.
const CLOSED: Duration = Duration::from_secs(5);
/// How long one look for that lasts.
const LOOK: Duration = Duration::from_millis(100);

/// Plays it.
pub fn play(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let targets = stage.targets(DNS)?;
    let all = stage.pods();
    let first = targets[0].pods.clone();
    let leaver = first.get(1).with_context(|| format!("{DNS} needs two pods or more, to take one out"))?;
    let others: Vec<_> = first.iter().filter(|pod| *pod != leaver).cloned().collect();
    let only = [leaver.clone()];
    report.act(
        "Drain",
        format_args!("{leaver} of kube-dns terminates while it still serves; then it is gone"),
    )?;
    report.columns(&all)?;

    let [node, _] = stage.clients();
    let mut kept = node.run(|| Kept::by(leaver, &targets))??;
    let ((answers, gone), each) = crowd::watch(&clients(stage, targets), PACE, &stage.interrupt, |clock| {
        clock.change(|| save(stage, DNS, &others, &only))?;
        let beside_others = kept.ask();
        clock.change(|| save(stage, DNS, &[], &only))?;
        let the_last = kept.ask();
        clock.change(|| save(stage, DNS, &others, &[]))?;
        Ok(([beside_others, the_last], Instant::now()))
    })?;

    let mut heard = Heard::default();
    each.into_iter().for_each(|of_client| heard.add(of_client));
    let mut faults: Vec<_> = heard.between.failures("while the set changed").into_iter().collect();
    let states = ["ready", "terminating", "the last one", "gone"];
    let states = states.map(|state| format!("new, {leaver} {state}"));
    let sockets = format!("its {} old sockets", kept.count());
    let serving = [&first[..], &others, &only, &others];
    for (state, ((label, pods), new)) in states.iter().zip(serving).zip(&heard.settled).enumerate() {
        report.spread(label, &all, new)?;
        faults.extend(new.faults_among(label, pods));
        // Of the two states in the middle.
        if let Some(answers) = state.checked_sub(1).and_then(|state| answers.get(state)) {
            report.spread(&sockets, &all, answers)?;
            faults.extend(answers.faults_but_of(&format!("{label}: {sockets}"), &[leaver]));
        }
    }
    faults.extend(farewell(stage, report, &mut kept, &others, gone)?);
    let (made, failed) = heard.asked_and_failed();
    let made = text::count(made);
    report.verdict(
        format_args!("{made} new connections, {failed} failed; {leaver} kept what it had until it was gone"),
        faults,
    )?;
    Ok(())
}

/// What becomes of the sockets that are kept, now that their pod is gone: in what it is not as promised.
fn farewell(
    stage: &Stage,
    report: &mut Report,
    kept: &mut Kept,
    others: &[String],
    gone: Instant,
) -> anyhow::Result<Vec<String>> {
    let (all, others) = (stage.pods(), others.iter().map(String::as_str).collect::<Vec<_>>());
    let mut faults = Vec::new();
    let label = &format!("its {} old TCP connections", kept.tcp.len());
    let answers = Connection::ask_all(&mut kept.tcp, QUESTIONS);
    report.spread(label, &all, &answers)?;
    faults.extend(answers.failures(label));
    let label = &format!("its {} old unconnected UDP sockets", kept.unconnected.len());
    let answers = UnconnectedUdp::ask_all(&mut kept.unconnected, QUESTIONS);
    report.spread(label, &all, &answers)?;
    faults.extend(answers.faults_but_of(label, &others));
    let label = &format!("its {} old connected UDP sockets", kept.connected.len());
    for socket in &kept.connected {
        let mut closed = None;
        let in_time = wait_until(CLOSED, &stage.interrupt, || {
            closed = socket.wait(LOOK)?;
            Ok(closed.is_some())
        })?;
        if !in_time {
            let log = stage.agent.log_end();
            faults.push(format!("{label}: no error after {CLOSED:?}; the agent's log ends:\n{log}"));
            return Ok(faults);
        }
    }
    let took = text::time(gone.elapsed());
    report.told(label, format_args!("closed after {took}: recv() fails; connected again"))?;
    kept.connected.iter().try_for_each(ConnectedUdp::connect)?;
    let answers = ConnectedUdp::ask_all(&mut kept.connected, QUESTIONS);
    faults.extend(answers.faults_but_of(&format!("{label}, connected again"), &others));
    Ok(faults)
}

/// One client for each service port, half of them on the node and half in a pod.
fn clients(stage: &Stage, targets: Vec<Target>) -> Vec<Client> {
    let places = stage.clients();
    let places = places.iter().cycle();
    let client = |(target, place): (Target, _)| {
        let way = if target.protocol == Protocol::Udp { Way::UdpUnconnected } else { Way::Tcp };
        Client { place: Clone::clone(place), way, addresses: vec![target.address] }
    };
    targets.into_iter().zip(places).map(client).collect()
}

/// Sockets of every kind, all to one pod.
struct Kept {
    tcp: Vec<Connection>,
    connected: Vec<ConnectedUdp>,
    unconnected: Vec<UnconnectedUdp>,
}

impl Kept {
    fn by(pod: &str, targets: &[Target]) -> anyhow::Result<Self> {
        let mut kept = Self { tcp: Vec::new(), connected: Vec::new(), unconnected: Vec::new() };
        for target in targets {
            if target.protocol == Protocol::Udp {
                kept.connected.push(Held::to(pod, target.address)?);
                kept.unconnected.push(Held::to(pod, target.address)?);
            } else {
                kept.tcp.push(Held::to(pod, target.address)?);
            }
        }
        Ok(kept)
    }

    fn count(&self) -> usize {
        self.tcp.len() + self.connected.len() + self.unconnected.len()
    }

    fn ask(&mut self) -> Answers {
        let mut answers = Connection::ask_all(&mut self.tcp, QUESTIONS);
        answers.add(ConnectedUdp::ask_all(&mut self.connected, QUESTIONS));
        answers.add(UnconnectedUdp::ask_all(&mut self.unconnected, QUESTIONS));
        answers
    }
}
