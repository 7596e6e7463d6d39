//! What became of the connections of one fault: counted, judged, and written down.

use crate::{
    count::{Failure, Phase},
    load::Load,
    scale::Scale,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A fault while clients connect.
pub struct Outcome {
    fault: &'static str,
    injected: &'static str,
    load: Load,
    scale: Scale,
    times: u32,
    lasted: Duration,
    /// The longest time in which somebody could not be served.
    gap: Option<Duration>,
}

/// How many failures are shown.
const SHOWN: usize = 20;

impl Outcome {
    /// Lets the clients connect for a while before the fault.
    pub fn begin(fault: &'static str, injected: &'static str, load: Load, scale: Scale) -> Self {
        load.serve(scale.connections / 5);
        Self { fault, injected, load, scale, times: 0, lasted: Duration::ZERO, gap: None }
    }

    /// The clients.
    pub fn load(&mut self) -> &mut Load {
        &mut self.load
    }

    /// Lets it happen, that many times.
    pub fn during(&mut self, times: u32, inject: impl FnOnce(&mut Self)) {
        let began = Instant::now();
        self.load.enter(Phase::During);
        inject(self);
        // What the last change made wrong shows now.
        self.serve();
        self.load.enter(Phase::After);
        self.times += times;
        self.lasted += began.elapsed();
        self.serve();
    }

    /// Waits until some more connections were served.
    #[track_caller]
    pub fn serve(&self) {
        self.load.serve(self.scale.connections / 20);
    }

    /// What `work` takes away from clients, it gives back before it returns.
    pub fn gap(&mut self, work: impl FnOnce(&mut Self)) {
        let began = Instant::now();
        self.load.counts.set_gap(true);
        work(self);
        self.load.counts.set_gap(false);
        self.gap = self.gap.max(Some(began.elapsed()));
    }

    /// Lets the clients go on until there are enough connections, ends them, and demands that none has failed.
    pub fn end(mut self) {
        let made: u64 = self.load.counts.connections().iter().sum();
        let rest = self.scale.connections.saturating_sub(made).max(self.scale.connections / 5);
        self.load.serve(rest);
        self.load.end();
        let counts = &self.load.counts;
        let [before, during, after] = counts.connections();
        let (failed, broken, moved) = (counts.failures(), counts.broken(), counts.flows_moved());
        let severed = counts.severed();
        let count = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        let result = json!({
            "fault": self.fault,
            "injected": self.injected,
            "times": self.times,
            "seconds_during": (self.lasted.as_secs_f64() * 10.0).round() / 10.0,
            "connections": { "before": before, "during": during, "after": after, "of_them_udp": counts.exchanges() },
            "failed": failed.len(),
            "repeated_first_packet": counts.slow().len(),
            "slowest_milliseconds": counts.slowest().as_millis() as u64,
            "streams": count(&counts.streams),
            "flows": count(&counts.flows),
            "questions_to_them": counts.questions(),
            "broken": broken.len(),
            "moved": moved.len(),
            "gap": self.gap.map(|longest| json!({
                "longest_milliseconds": longest.as_millis() as u64,
                "connections_not_served": counts.unserved(),
                "streams_and_flows_severed": severed.len(),
            })),
        });
        println!("{result}");
        counts.slow().iter().take(10 * SHOWN).for_each(|slow| println!("slow: {slow}"));
        let wrong: Vec<_> = failed.iter().chain(&broken).chain(&moved).map(Failure::to_string).collect();
        let shown = wrong.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n  ");
        assert!(
            wrong.is_empty(),
            "{}: {} of {} connections failed, {} streams and flows broke, {} moved:\n  {shown}",
            self.fault,
            failed.len(),
            before + during + after,
            broken.len(),
            moved.len(),
        );
        assert!(before > 0 && during > 0 && after > 0, "{result}");
        if Scale::is_full() {
            record(&result);
        }
    }
}

/// Where the full run's results are.
pub fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/results.json")
}

/// Puts a result in the place of an older one of the same fault.
fn record(result: &Value) {
    let mut all: Vec<Value> =
        fs::read(results()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    match all.iter_mut().find(|old| old["fault"] == result["fault"]) {
        Some(old) => *old = result.clone(),
        None => all.push(result.clone()),
    }
    fs::write(results(), serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
}
