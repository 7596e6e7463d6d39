//! Clients that ask without a pause while manifests are saved, and what each heard in which state.

use super::{
    ask::{Answers, Way, ask},
    interrupt::Interrupt,
    wait_until,
};
use crate::lab::Place;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The longest that a state lasts.
const LIMIT: Duration = Duration::from_secs(10);

/// One that asks its addresses in turn, each time by a new socket.
pub struct Client {
    /// Where it is.
    pub place: Place,
    /// How it asks.
    pub way: Way,
    /// Whom it asks.
    pub addresses: Vec<SocketAddr>,
}

/// What a client heard.
#[derive(Default)]
pub struct Heard {
    /// In each state: before the first file was saved, after it was in force, and so on.
    pub settled: Vec<Answers>,
    /// While a file was saved and not yet in force, be it only for a part of the question.
    pub between: Answers,
}

/// How long a state lasts: at least for this time, and until each client has asked so often.
#[derive(Clone, Copy)]
pub struct Pace {
    /// The time.
    pub lasts: Duration,
    /// The questions of each client.
    pub questions: usize,
}

/// Whose turn it is. States 0, 2, 4 and so on are settled; in the others a file is saved and not yet in force.
pub struct Clock<'a> {
    pace: Pace,
    interrupt: &'a Interrupt,
    state: AtomicUsize,
    over: AtomicBool,
    /// How many questions each client has asked.
    asked: Vec<AtomicUsize>,
}

/// Lets the clients ask until `direct` has ended and the last state has lasted; returns what it returned and
/// what each client heard.
pub fn watch<T>(
    clients: &[Client],
    pace: Pace,
    interrupt: &Interrupt,
    direct: impl FnOnce(&Clock<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<Heard>)> {
    let asked = clients.iter().map(|_| AtomicUsize::new(0)).collect();
    let (state, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let clock = Clock { pace, interrupt, state, over, asked };
    let (directed, mut heard) = thread::scope(|scope| {
        let clients = clients.iter().zip(&clock.asked);
        let clients: Vec<_> =
            clients.map(|(client, asked)| scope.spawn(|| client.ask(&clock, asked))).collect();
        let over = Over(&clock.over);
        let directed = direct(&clock).and_then(|directed| clock.last().map(|()| directed));
        drop(over);
        let heard = clients.into_iter().map(|client| match client.join() {
            Ok(heard) => heard,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let heard = heard.collect::<anyhow::Result<Vec<_>>>();
        anyhow::Ok((directed?, heard?))
    })?;
    let states = clock.state.into_inner() / 2 + 1;
    heard.iter_mut().for_each(|heard| heard.settled.resize_with(states, Answers::default));
    Ok((directed, heard))
}

impl Clock<'_> {
    /// Lets the present state last; then the next begins by `save`, which returns once it is in force.
    pub fn change<T>(&self, save: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.last()?;
        self.state.fetch_add(1, Ordering::SeqCst);
        let saved = save()?;
        self.state.fetch_add(1, Ordering::SeqCst);
        Ok(saved)
    }

    fn last(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        let asked = || self.asked.iter().map(|asked| asked.load(Ordering::Relaxed));
        let before: Vec<_> = asked().collect();
        wait_until(LIMIT, self.interrupt, || {
            let enough = asked().zip(&before).all(|(now, before)| now >= before + self.pace.questions);
            Ok(enough && start.elapsed() >= self.pace.lasts)
        })?;
        Ok(())
    }
}

impl Client {
    fn ask(&self, clock: &Clock<'_>, asked: &AtomicUsize) -> anyhow::Result<Heard> {
        let heard = self.place.run(|| {
            let mut heard = Heard::default();
            for address in self.addresses.iter().cycle() {
                if clock.over.load(Ordering::Relaxed) {
                    break;
                }
                let before = clock.state.load(Ordering::SeqCst);
                let answer = ask(self.way, *address);
                let after = clock.state.load(Ordering::SeqCst);
                heard.in_states(before, after).take(answer, *address);
                asked.fetch_add(1, Ordering::Relaxed);
            }
            heard
        })?;
        Ok(heard)
    }
}

impl Heard {
    /// Where an answer counts whose question began in one state and ended in another.
    fn in_states(&mut self, before: usize, after: usize) -> &mut Answers {
        if before != after || !before.is_multiple_of(2) {
            return &mut self.between;
        }
        let state = before / 2;
        if self.settled.len() <= state {
            self.settled.resize_with(state + 1, Answers::default);
        }
        &mut self.settled[state]
    }

    /// Takes in what another client heard in the same states.
    pub fn add(&mut self, other: Self) {
        if self.settled.len() < other.settled.len() {
            self.settled.resize_with(other.settled.len(), Answers::default);
        }
        for (mine, theirs) in self.settled.iter_mut().zip(other.settled) {
            mine.add(theirs);
        }
        self.between.add(other.between);
    }

    /// How many questions were asked, and how many of them got no answer.
    pub fn asked_and_failed(&self) -> (usize, usize) {
        let each = || self.settled.iter().chain([&self.between]);
        (each().map(Answers::asked).sum(), each().map(Answers::failed).sum())
    }
}

/// Ends the clients, also when their director fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_where_its_question_began_and_ended() {
        let mut heard = Heard::default();
        for (before, after, name) in [
            (0, 0, "first"),
            (0, 1, "saving"),
            (1, 1, "saving"),
            (1, 2, "saving"),
            (4, 4, "third"),
            (0, 4, "late"),
        ] {
            heard.in_states(before, after).take_name(name);
        }
        let states: Vec<_> = heard.settled.iter().map(Answers::asked).collect();
        assert_eq!(states, [1, 0, 1]);
        assert_eq!((heard.settled[0].of("first"), heard.settled[2].of("third")), (1, 1));
        assert_eq!((heard.between.of("saving"), heard.between.of("late")), (3, 1));
        let mut other = Heard::default();
        other.in_states(6, 6).take_name("fourth");
        heard.add(other);
        assert_eq!((heard.settled.len(), heard.asked_and_failed()), (4, (7, 0)));
    }
}
