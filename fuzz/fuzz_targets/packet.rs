//! Bytes as a history of packets, sound and mutated, through the packet path's functions: what proxy-common's packet
//! tests do with a generator's (`proxy-common/tests/packet/mutated.rs`, which says what is looked at).
#![no_main]
#![allow(dead_code, reason = "shared with the packet tests")]

#[path = "../../proxy-common/tests/datapath/fake.rs"]
mod fake;
#[path = "../../proxy-common/tests/packet/frame.rs"]
mod frame;
#[path = "../../proxy-common/tests/packet/lab.rs"]
mod lab;
#[path = "../../proxy-common/tests/packet/mutated.rs"]
mod mutated;
#[path = "../../proxy-common/tests/packet/net.rs"]
mod net;
#[path = "../../proxy-common/tests/packet/read.rs"]
mod read;
#[path = "../../proxy-common/tests/packet/run.rs"]
mod run;
#[path = "../../proxy-common/tests/packet/sound.rs"]
mod sound;
#[path = "../../proxy-common/tests/packet/text.rs"]
mod text;
#[path = "../../proxy-common/tests/packet/wire.rs"]
mod wire;
#[path = "../../proxy-common/tests/packet/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mutated::history(bytes);
});
