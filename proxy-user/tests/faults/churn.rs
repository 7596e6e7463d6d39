//! Endpoints that come and go all the time. One that is listed no more serves for as long as a pod that terminates.

use crate::stage::{COME, STAY, Stage};
use std::time::{Duration, Instant};

/// Between two changes.
const STEP: Duration = Duration::from_millis(25);

/// Cheap random numbers that a failing run can be repeated with (xorshift).
pub struct Random(pub u64);

impl Random {
    /// A number below another one.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pod {
    Absent,
    Listed,
    Terminates(Instant),
}

/// The pods that come and go.
pub struct Churn {
    pods: [Pod; COME],
    random: Random,
    next: Instant,
    /// Changes of what is listed.
    pub changes: u32,
}

impl Churn {
    pub fn new(seed: u64) -> Self {
        // The first one listens from the start.
        let mut pods = [Pod::Absent; COME];
        pods[0] = Pod::Terminates(Instant::now());
        Self { pods, random: Random(seed), next: Instant::now(), changes: 0 }
    }

    /// Changes something, if it is time.
    pub fn turn(&mut self, stage: &Stage) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + STEP;
        let index = self.random.below(COME as u64) as usize;
        let pod = &mut self.pods[index];
        let was = *pod;
        match was {
            Pod::Absent => {
                stage.open(STAY + index);
                *pod = Pod::Listed;
            }
            Pod::Listed => *pod = Pod::Terminates(Instant::now() + stage.scale.grace),
            // Some become ready again; most end.
            Pod::Terminates(_) if self.random.below(8) == 0 => *pod = Pod::Listed,
            Pod::Terminates(end) if end < Instant::now() => {
                stage.close(STAY + index);
                *pod = Pod::Absent;
                return;
            }
            Pod::Terminates(_) => return,
        }
        self.changes += 1;
        stage.list(&self.listed());
    }

    /// Those that are listed now.
    pub fn listed(&self) -> Vec<usize> {
        let listed = self.pods.iter().enumerate().filter(|(_, pod)| **pod == Pod::Listed);
        listed.map(|(index, _)| STAY + index).collect()
    }
}
