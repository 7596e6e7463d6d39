//! Act: a pod leaves a Service and another joins while clients go on connecting.

use super::{
    ask::{Answers, PATIENCE, Way, ask},
    interrupt::Interrupt,
    report::Report,
    stage::Stage,
    target::{Target, WEB},
    text, wait_until,
};
use crate::{
    lab::Place,
    model::{Family, Protocol},
};
use anyhow::Context as _;
use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long each state lasts at least, and how many connections each client makes in it at least.
const LASTS: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 300;
/// The longest that a state lasts, and that a saved file takes to be in force.
const LIMIT: Duration = Duration::from_secs(10);

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
    let mut held = node.run(|| hold(targets[0].address, leaver))??;
    let clock = Clock::default();
    let (took, tallies) = thread::scope(|scope| {
        let clients: Vec<_> = stage.clients().into_iter().zip(&targets).zip(&clock.connections).collect();
        let clients: Vec<_> = clients
            .into_iter()
            .map(|((place, target), made)| scope.spawn(|| client(place, target, &clock, made)))
            .collect();
        let over = Over(&clock.over);
        let played = [&without, &with].into_iter().map(|pods| {
            clock.last(&stage.interrupt)?;
            clock.state.fetch_add(1, Ordering::SeqCst);
            let took = save(stage, pods)?;
            clock.state.fetch_add(1, Ordering::SeqCst);
            Ok(took)
        });
        let played = played.collect::<anyhow::Result<Vec<_>>>();
        let played = played.and_then(|took| clock.last(&stage.interrupt).map(|()| took));
        drop(over);
        let tallies = clients.into_iter().map(|client| match client.join() {
            Ok(tally) => Ok(tally?),
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let tallies = tallies.collect::<anyhow::Result<Vec<_>>>();
        anyhow::Ok((played?, tallies?))
    })?;

    let mut tally = Tally::default();
    tallies.into_iter().for_each(|of_client| tally.add(of_client));
    let labels = [
        "as in the manifests".to_owned(),
        format!("without {leaver}, {} after saving", text::time(took[0])),
        format!("with {joiner}, {} after saving", text::time(took[1])),
    ];
    let mut faults: Vec<_> = tally.between.failures("while the set changed").into_iter().collect();
    for ((label, pods), answers) in labels.iter().zip([first, &without, &with]).zip(&tally.settled) {
        report.spread(label, &all, answers)?;
        faults.extend(answers.faults_among(label, pods));
    }
    if let Err(error) = still_talks(&mut held) {
        faults.push(format!("the connection that was made to {leaver} before it left: {error}"));
    }
    let (made, failed) = (text::count(tally.asked()), tally.failed());
    report.verdict(
        format_args!("{made} connections, {failed} failed; one made to {leaver} before still talks to it"),
        faults,
    )?;
    Ok(())
}

/// Whose turn it is. States 0, 2 and 4 are settled; in 1 and 3 a file is saved and not yet in force.
#[derive(Default)]
struct Clock {
    state: AtomicUsize,
    over: AtomicBool,
    /// How many connections each client has made.
    connections: [AtomicUsize; 2],
}

impl Clock {
    /// Lets the present state last for its time.
    fn last(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let start = Instant::now();
        let made = || self.connections.iter().map(|made| made.load(Ordering::Relaxed));
        let before: Vec<_> = made().collect();
        wait_until(LIMIT, interrupt, || {
            let enough = made().zip(&before).all(|(now, before)| now >= before + CONNECTIONS);
            Ok(enough && start.elapsed() >= LASTS)
        })?;
        Ok(())
    }
}

/// Ends the clients, also when their director fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers by the state that they fell into.
#[derive(Default)]
struct Tally {
    settled: [Answers; 3],
    /// Those that were under way while the state changed, or in states 1 and 3.
    between: Answers,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (mine, theirs) in self.settled.iter_mut().zip(other.settled) {
            mine.add(theirs);
        }
        self.between.add(other.between);
    }

    fn each(&self) -> impl Iterator<Item = &Answers> {
        self.settled.iter().chain([&self.between])
    }

    fn asked(&self) -> usize {
        self.each().map(Answers::asked).sum()
    }

    fn failed(&self) -> usize {
        self.each().map(Answers::failed).sum()
    }
}

/// Connects again and again until it is over.
fn client(place: Place, target: &Target, clock: &Clock, made: &AtomicUsize) -> anyhow::Result<Tally> {
    let tally = place.run(|| {
        let mut tally = Tally::default();
        while !clock.over.load(Ordering::Relaxed) {
            let before = clock.state.load(Ordering::SeqCst);
            let answer = ask(Way::Tcp, target.address);
            let after = clock.state.load(Ordering::SeqCst);
            let settled = before == after && before.is_multiple_of(2);
            let state = if settled { tally.settled.get_mut(before / 2) } else { None };
            state.unwrap_or(&mut tally.between).take(answer, target.address);
            made.fetch_add(1, Ordering::Relaxed);
        }
        tally
    })?;
    Ok(tally)
}

/// Saves the manifests with these pods behind `web`; returns how long it took until both families'
/// sets in the kernel were these.
fn save(stage: &Stage, pods: &[String]) -> anyhow::Result<Duration> {
    let addresses: Vec<IpAddr> = pods.iter().flat_map(|pod| stage.addresses_of(pod)).collect();
    let start = Instant::now();
    stage.manifests.set_endpoints(WEB, &addresses)?;
    let in_force = wait_until(LIMIT, &stage.interrupt, || {
        for family in Family::BOTH {
            if stage.target(WEB, Protocol::Tcp, family)?.pods != pods {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    let took = start.elapsed();
    anyhow::ensure!(
        in_force,
        "a saved file is not in force after {LIMIT:?}; the agent's log ends:\n{}",
        stage.agent.log_end()
    );
    Ok(took)
}

/// A connection through the Service to one certain pod.
fn hold(address: SocketAddr, pod: &str) -> anyhow::Result<TcpStream> {
    let greeting = format!("{pod} ");
    for _ in 0..1_000 {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') && stream.read(&mut byte)? > 0 {
            line.extend(byte);
        }
        if line.starts_with(greeting.as_bytes()) {
            return Ok(stream);
        }
    }
    anyhow::bail!("{pod} never answered at {address}")
}

/// The server sends back what it gets.
fn still_talks(stream: &mut TcpStream) -> std::io::Result<()> {
    let words = b"still there?";
    stream.write_all(words)?;
    let mut echo = [0; 12];
    stream.read_exact(&mut echo)?;
    if echo == *words { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}
