//! SIGKILL at any moment: while the agent starts, while it writes, while it waits.

use crate::{churn::Churn, outcome::Outcome, stage::Stage};
use std::{
    env, thread,
    time::{Duration, Instant},
};

/// The latest moment after its start at which an agent is killed.
const LATEST: u64 = 700;

/// How long no agent may have been ready before one is given the time: a pod that terminates ends some day.
const PATIENCE: Duration = Duration::from_secs(2);

#[test]
fn the_agent_is_killed_at_random_moments_while_endpoints_come_and_go() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let seed = env::var("SHUNT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
    let mut churn = Churn::new(seed);
    let mut random = crate::churn::Random(seed ^ 0xa9e7);
    let (load, scale) = (stage.load(), stage.scale);
    let mut outcome = Outcome::begin(
        "agent killed",
        "SIGKILL at random moments, while it starts, writes or waits; endpoints come and go forty times a second",
        load,
        scale,
    );
    let (mut ready, mut while_starting) = (Instant::now(), 0);
    outcome.during(scale.kills, |_| {
        for _ in 0..scale.kills {
            let end = Instant::now() + Duration::from_micros(random.below(LATEST * 1000));
            let mut was_ready = false;
            while Instant::now() < end || (!was_ready && ready.elapsed() > PATIENCE) {
                churn.turn(&stage);
                was_ready = was_ready || stage.agent().is_ready();
                thread::sleep(Duration::from_micros(500));
            }
            if was_ready {
                ready = Instant::now();
            } else {
                while_starting += 1;
            }
            stage.kill();
            stage.begin();
        }
        stage.agent().wait_until_ready();
        stage.wait_until_programmed(&churn.listed());
    });
    println!("{} changes; {while_starting} of {} were starting (seed {seed})", churn.changes, scale.kills);
    assert!(while_starting > 0, "no agent was killed while it started");
    outcome.end();
}
