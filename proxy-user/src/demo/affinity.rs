//! Act: a Service keeps each client at one pod, until that pod leaves.

use super::{
    ask::{Answers, Way, ask},
    crowd::{self, Client, Heard, Pace},
    report::Report,
    save::save,
    stage::Stage,
    target::CART,
    text,
};
use crate::model::{Family, Protocol};
use std::time::Duration;

const PACE: Pace = Pace { lasts: Duration::from_millis(100), questions: 100 };
/// How many pods are clients.
const CLIENTS: usize = 2;

/// Plays it.
pub fn play(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    report.act("Affinity", "two pods ask cart, by ClusterIP and NodePort in turn; each stays at one pod")?;
    let all = stage.pods();
    report.columns(&all)?;
    let (names, clients): (Vec<_>, Vec<_>) = clients(stage, &all)?.into_iter().unzip();
    // Whom the first client reaches now, it keeps: that one is going to leave.
    let (leaver, _) = clients[0].place.run(|| ask(Way::Tcp, clients[0].addresses[0]))??;
    let first = stage.target(CART, Protocol::Tcp, Family::V4)?.pods;
    let without: Vec<_> = first.iter().filter(|pod| **pod != leaver).cloned().collect();
    anyhow::ensure!(!without.is_empty(), "{CART} needs two pods or more, to take one out");
    let (_, heard) = crowd::watch(&clients, PACE, &stage.interrupt, |clock| {
        clock.change(|| save(stage, CART, &without, &[]))?;
        clock.change(|| save(stage, CART, &first, &[]))
    })?;

    for (name, heard) in names.iter().zip(&heard) {
        report.spread(name, &all, &heard.settled[0])?;
    }
    let (mut faults, mut moved, mut made, mut failed) = (Vec::new(), 0, 0, 0);
    for (name, mut heard) in names.iter().zip(heard) {
        let (asked, without_answer) = heard.asked_and_failed();
        (made, failed) = (made + asked, failed + without_answer);
        let states = [name.clone(), format!("{name}, {leaver} left"), format!("{name}, {leaver} is back")];
        faults.extend(unfaithful(&states, &heard, &leaver));
        if heard.settled[0].favourite() == Some(&leaver) {
            moved += 1;
            let mut since = Answers::default();
            heard.settled.drain(1..).for_each(|answers| since.add(answers));
            report.spread(&format!("{name}, {leaver} left cart"), &all, &since)?;
        }
    }
    if moved == 0 {
        faults.push(format!("{}: was at {leaver}, and left it without a reason", names[0]));
    }
    let (made, clients) = (text::count(made), names.len());
    report.verdict(
        format_args!(
            "{made} connections, {failed} failed; clients whose pod left ({moved} of {clients}) moved once, and stay"
        ),
        faults,
    )?;
    Ok(())
}

/// Two pods as clients, in each family: those are service ports of their own.
fn clients(stage: &Stage, pods: &[String]) -> anyhow::Result<Vec<(String, Client)>> {
    let mut clients = Vec::new();
    for (index, pod) in pods.iter().take(CLIENTS).enumerate() {
        for family in Family::BOTH {
            let target = stage.target(CART, Protocol::Tcp, family)?;
            let addresses = vec![target.address, stage.at_node(&target)?];
            let client = Client { place: stage.in_pod(index), way: Way::Tcp, addresses };
            clients.push((format!("from {pod}, {family}"), client));
        }
    }
    Ok(clients)
}

/// In what a client differs from one that has one pod, or a second one after `leaver` has left.
fn unfaithful(states: &[String], heard: &Heard, leaver: &str) -> Vec<String> {
    let favourite = |state: usize| heard.settled[state].favourite().unwrap_or("nobody");
    let home = favourite(0);
    let next = if home == leaver { favourite(1) } else { home };
    for ((label, answers), pod) in states.iter().zip(&heard.settled).zip([home, next, next]) {
        let faults = answers.faults_but_of(label, &[pod]);
        if !faults.is_empty() {
            // Later states say the same of a client that has no pod.
            return faults;
        }
    }
    let label = format!("{}, while {leaver} left or came back", states[0]);
    let on_the_way = [home, next];
    let pods = if home == next { &on_the_way[..1] } else { &on_the_way };
    let mut faults = heard.between.faults_but_of(&label, pods);
    if next == leaver {
        faults.push(format!("{}: {leaver} still answers", states[1]));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(settled: [&[&str]; 3], between: &[&str]) -> Heard {
        let answers = |names: &[&str]| {
            let mut answers = Answers::default();
            names.iter().for_each(|name| answers.take_name(name));
            answers
        };
        Heard { settled: settled.map(answers).into(), between: answers(between) }
    }

    #[test]
    fn a_client_leaves_its_pod_only_with_it_and_once() {
        let states = ["before", "without", "again"].map(str::to_owned);
        for (settled, between, faults) in [
            ([&["a", "a"][..], &["a"], &["a"]], &["a"][..], 0),
            ([&["x", "x"], &["a"], &["a"]], &["x", "a"], 0),
            // Two at once, no reason to move, back again, a third one on the way, the one that left.
            ([&["a", "a", "b"], &["a"], &["a"]], &[], 1),
            ([&["a"], &["b"], &["a"]], &[], 1),
            ([&["x"], &["a"], &["x"]], &[], 1),
            ([&["x"], &["a"], &["a"]], &["x", "b", "a"], 1),
            ([&["x"], &["x"], &["x"]], &[], 1),
        ] {
            let found = unfaithful(&states, &heard(settled, between), "x");
            assert_eq!(found.len(), faults, "{settled:?} {between:?}: {found:?}");
        }
    }
}
