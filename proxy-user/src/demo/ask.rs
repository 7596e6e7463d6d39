//! Clients that ask who is there, and the count of the answers.

use super::{interrupt::Interrupt, target::Target, text};
use crate::{
    lab::{UdpAsker, tcp_ask, udp_ask_connected},
    model::Protocol,
};
use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

/// The longest that one question waits for its answer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// So many questions without an answer are enough: nobody waits for hundreds.
const ENOUGH: usize = 3;

/// How a client asks; always by a new socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// connect() over TCP.
    Tcp,
    /// connect() over UDP.
    UdpConnected,
    /// sendmsg() with an address over UDP.
    UdpUnconnected,
}

impl Way {
    /// Two ways that clients of a protocol use: over UDP some connect and others do not, as resolvers do both.
    pub const fn of(protocol: Protocol) -> [Self; 2] {
        match protocol {
            Protocol::Udp => [Self::UdpConnected, Self::UdpUnconnected],
            Protocol::Tcp | Protocol::Sctp => [Self::Tcp; 2],
        }
    }
}

/// Who answered how often.
#[derive(Debug, Default)]
pub struct Answers {
    names: BTreeMap<String, usize>,
    failed: usize,
    first_error: Option<io::Error>,
    /// Answers that did not seem to come from the address that was asked.
    disguised: usize,
}

impl Answers {
    /// Asks `address` so many times, unless some stay without an answer or the demo is told to end.
    pub fn gather(way: Way, address: SocketAddr, times: usize, interrupt: &Interrupt) -> Self {
        let mut answers = Self::default();
        for _ in 0..times {
            if interrupt.is_caught() || answers.failed == ENOUGH {
                break;
            }
            answers.take(ask(way, address), address);
        }
        answers
    }

    /// Counts one answer to a question to `asked`: a name, and whose it seemed to be.
    pub fn take(&mut self, answer: io::Result<(String, SocketAddr)>, asked: SocketAddr) {
        match answer {
            Ok((name, from)) => {
                self.take_name(&name);
                self.disguised += usize::from(from != asked);
            }
            Err(error) => {
                self.failed += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    /// Counts an answer of `name`.
    pub fn take_name(&mut self, name: &str) {
        match self.names.get_mut(name) {
            Some(times) => *times += 1,
            None => drop(self.names.insert(name.to_owned(), 1)),
        }
    }

    /// Takes in what others have counted.
    pub fn add(&mut self, other: Self) {
        for (name, times) in other.names {
            *self.names.entry(name).or_default() += times;
        }
        self.failed += other.failed;
        self.disguised += other.disguised;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// How many `name` gave.
    pub fn of(&self, name: &str) -> usize {
        self.names.get(name).copied().unwrap_or(0)
    }

    /// How many questions were asked.
    pub fn asked(&self) -> usize {
        self.names.values().sum::<usize>() + self.failed
    }

    /// How many questions got no answer.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// That there were questions without an answer.
    pub fn failures(&self, what: &str) -> Option<String> {
        let error = self.first_error.as_ref()?;
        let (failed, asked) = (text::count(self.failed), text::count(self.asked()));
        Some(format!("{what}: {failed} of {asked} failed, the first with: {error}"))
    }

    /// Who has given the most.
    pub fn favourite(&self) -> Option<&str> {
        let most = self.names.iter().max_by_key(|(_, times)| **times);
        most.map(|(name, _)| name.as_str())
    }

    /// In what the answers differ from those of certain pods alone, whatever the share of each.
    pub fn faults_but_of(&self, what: &str, pods: &[&str]) -> Vec<String> {
        let mut faults = self.flaws(what);
        let others = self.names.iter().filter(|(name, _)| !pods.contains(&name.as_str()));
        let others: Vec<_> =
            others.map(|(name, times)| format!("{name} ({})", text::count(*times))).collect();
        if !others.is_empty() {
            faults.push(format!("{what}: {} in place of {}", others.join(", "), pods.join(" or ")));
        }
        faults
    }

    /// In what the answers differ from an even spread over the pods of `target`.
    pub fn faults(&self, target: &Target) -> Vec<String> {
        self.faults_among(&target.to_string(), &target.pods)
    }

    /// In what the answers to questions to `what` differ from an even spread over `pods`.
    pub fn faults_among(&self, what: &str, pods: &[String]) -> Vec<String> {
        let mut faults = self.flaws(what);
        if self.failed > 0 && self.names.is_empty() {
            return faults;
        }
        for stranger in self.names.keys().filter(|name| !pods.contains(name)) {
            faults.push(format!("{what}: {stranger} answered and is no backend"));
        }
        let mean = self.names.values().sum::<usize>() as f64 / pods.len() as f64;
        for pod in pods {
            let given = self.of(pod);
            // Six standard deviations of a fair choice: by chance once in 10^8 demos or so.
            if given == 0 || (given as f64 - mean).abs() > 6.0 * mean.sqrt() {
                faults.push(format!("{what}: {pod} gave {given} answers, {mean:.0} are its share"));
            }
        }
        faults
    }

    /// What is wrong whoever answers.
    fn flaws(&self, what: &str) -> Vec<String> {
        let disguised = (self.disguised > 0).then(|| {
            let disguised = text::count(self.disguised);
            format!("{what}: {disguised} clients saw another peer than the address they asked")
        });
        self.failures(what).into_iter().chain(disguised).collect()
    }
}

/// Asks once: who answers, and what the client sees as its peer.
pub fn ask(way: Way, address: SocketAddr) -> io::Result<(String, SocketAddr)> {
    match way {
        Way::Tcp => tcp_ask(address, PATIENCE).map(|reply| (reply.name, reply.peer_name)),
        Way::UdpConnected => udp_ask_connected(address, PATIENCE).map(|reply| (reply.name, reply.peer_name)),
        Way::UdpUnconnected => {
            let asker = if address.is_ipv4() { UdpAsker::ipv4(PATIENCE)? } else { UdpAsker::ipv6(PATIENCE)? };
            asker.ask(address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(names: &[(&str, usize)]) -> Answers {
        let mut answers = Answers::default();
        for (name, times) in names {
            (0..*times).for_each(|_| answers.take_name(name));
        }
        answers
    }

    #[test]
    fn an_uneven_spread_is_a_fault() {
        let pods = ["pod-1", "pod-2"].map(str::to_owned);
        let table: [(&[(&str, usize)], usize); 6] = [
            (&[("pod-1", 500), ("pod-2", 500)], 0),
            (&[("pod-1", 600), ("pod-2", 400)], 0),
            (&[("pod-1", 700), ("pod-2", 300)], 2),
            (&[("pod-1", 30)], 1),
            (&[], 2),
            (&[("pod-1", 500), ("pod-2", 500), ("pod-9", 1)], 1),
        ];
        for (names, faults) in table {
            assert_eq!(answers(names).faults_among("web", &pods).len(), faults, "{names:?}");
        }
    }

    #[test]
    fn an_answer_of_another_than_the_one_is_a_fault() {
        let one = answers(&[("pod-1", 9)]);
        assert_eq!((one.favourite(), one.faults_but_of("cart", &["pod-1"])), (Some("pod-1"), vec![]));
        let two = answers(&[("pod-1", 9), ("pod-2", 1)]);
        assert_eq!(two.favourite(), Some("pod-1"));
        assert_eq!(two.faults_but_of("cart", &["pod-1"]), ["cart: pod-2 (1) in place of pod-1"]);
        assert_eq!(two.faults_but_of("cart", &["pod-1", "pod-2"]), [""; 0]);
    }

    #[test]
    fn a_failure_and_a_wrong_peer_are_faults() {
        let (asked, other) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let pods = ["pod-1".to_owned()];
        let mut one = Answers::default();
        one.take(Ok(("pod-1".to_owned(), asked)), asked);
        assert_eq!(one.faults_among("web", &pods), [""; 0]);
        let mut two = Answers::default();
        two.take(Ok(("pod-1".to_owned(), other)), asked);
        two.take(Err(io::ErrorKind::ConnectionRefused.into()), asked);
        one.add(two);
        assert_eq!((one.asked(), one.failed(), one.of("pod-1")), (3, 1, 2));
        assert_eq!(
            one.faults_among("web", &pods),
            [
                "web: 1 of 3 failed, the first with: connection refused",
                "web: 1 clients saw another peer than the address they asked",
            ]
        );
    }
}
