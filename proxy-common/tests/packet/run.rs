//! Who does with a packet what is to be done with it: here the functions, in memory.

use crate::{frame::Frame, lab::Lab};
use proxy_common::packet::Action;

pub fn act(lab: &Lab, frame: &mut Frame<'_>) -> Action {
    lab.act_here(frame)
}

/// What is said of that many packets.
pub fn report(packets: usize) {
    println!("{packets} packets");
}
