//! Who does with a packet what is to be done with it: the functions in memory, and the kernel.

use crate::{
    frame::Frame,
    lab::Lab,
    twin::{Twin, lock, twin},
};
use proxy_common::{abi::Counter, packet::Action};
use std::collections::HashMap;

pub fn act(lab: &Lab, frame: &mut Frame<'_>) -> Action {
    let shared = twin().filter(|_| Twin::can_show(lab, frame));
    let Some(shared) = shared else { return lab.act_here(frame) };
    let mut twin = lock(&shared);
    let outcome = twin.run(lab, frame);
    let before: HashMap<Counter, u64> = lab.world.fake.counts().into_iter().collect();
    let (place, variant) = ((frame.hook, frame.device, frame.made_here), lab.variant);
    let came = frame.bytes.clone();
    let action = lab.act_here(frame);
    let counted = lab.world.fake.counts().into_iter();
    let counted: Vec<_> = counted
        .map(|(counter, count)| (counter, count - before.get(&counter).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let _tell = Tell(|| eprintln!("packet {came:02x?}, {place:?}, {variant:?}"));
    twin.compare(lab, &outcome, action, frame, &counted);
    action
}

/// What is said of that many packets.
pub fn report(packets: usize) {
    let runs = twin().map_or(0, |twin| lock(&twin).runs);
    println!("{packets} packets; the programs in the kernel ran {runs} times");
}

/// Says which packet it was, if the comparison fails.
struct Tell<F: Fn()>(F);

impl<F: Fn()> Drop for Tell<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}
