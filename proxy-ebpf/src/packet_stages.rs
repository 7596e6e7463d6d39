//! The stages of the packet path as functions that the verifier walks by themselves: global ones (Linux 5.6, commit
//! 51c39bb1d5d1), which are handed the context. All else lies in SCRATCH.

use crate::{maps::SCRATCH, skb::Skb, tables::KernelTables};
use aya_ebpf::bindings::{__sk_buff, TC_ACT_OK};
use proxy_common::packet::{self, Hook, Next, Plain, Stages};

/// Runs one stage.
#[inline(always)]
fn stage(skb: *mut __sk_buff, run: impl FnOnce(&mut Plain<'_, Skb, KernelTables>) -> Next) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return Next::Pass as u32 };
    // SAFETY: `scratch` points to this CPU's value, and no other program runs on this CPU meanwhile. Zeros and
    // whatever a former stage left are a valid Work.
    let work = unsafe { &mut (*scratch).work };
    // SAFETY: as above; this only makes the address of a field.
    let questions = unsafe { &raw mut (*scratch).questions };
    // SAFETY: as above.
    let hook = unsafe { (*scratch).hook };
    let mut packet = Skb::new(skb, hook, questions);
    run(&mut Plain { packet: &mut packet, tables: &KernelTables, work }) as u32
}

/// Defines a stage as a function of its own.
macro_rules! stages {
    ($($(#[$about:meta])* $name:ident => $stage:ident;)*) => {$(
        $(#[$about])*
        // SAFETY: no other function of the object has this name.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $name(skb: *mut __sk_buff) -> u32 {
            stage(
                skb,
                #[inline(always)]
                |plain| plain.$stage(),
            )
        }
    )*};
}

stages! {
    /// [`Stages::arrive`].
    packet_arrive => arrive;
    /// [`Stages::begin`].
    packet_begin => begin;
    /// [`Stages::error`].
    packet_error => error;
    /// [`Stages::send`].
    packet_send => send;
    /// [`Stages::answer`].
    packet_answer => answer;
}

/// The stages as calls of those functions.
struct Called {
    skb: *mut __sk_buff,
}

impl Stages for Called {
    #[inline(always)]
    fn arrive(&mut self) -> Next {
        Next::from_value(packet_arrive(self.skb))
    }

    #[inline(always)]
    fn begin(&mut self) -> Next {
        Next::from_value(packet_begin(self.skb))
    }

    #[inline(always)]
    fn error(&mut self) -> Next {
        Next::from_value(packet_error(self.skb))
    }

    #[inline(always)]
    fn send(&mut self) -> Next {
        Next::from_value(packet_send(self.skb))
    }

    #[inline(always)]
    fn answer(&mut self) -> Next {
        Next::from_value(packet_answer(self.skb))
    }
}

/// Takes a packet through the stages, and does what comes of it; the value is the program's.
#[inline(always)]
pub fn run(skb: *mut __sk_buff, hook: Hook) -> i32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return TC_ACT_OK };
    // SAFETY: as in [`stage`].
    unsafe { (*scratch).hook = hook };
    let end = packet::run(&mut Called { skb });
    // SAFETY: as in [`stage`].
    let work = unsafe { &(*scratch).work };
    // SAFETY: as in [`stage`].
    let questions = unsafe { &raw mut (*scratch).questions };
    Skb::new(skb, hook, questions).finish(&KernelTables, packet::action(end, work))
}
