//! What lies in the bpffs is removed, replaced or damaged.

use crate::{scale::Scale, stage::Stage, wait_until};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The directory of the maps that are in use: of the newest version, the highest instance.
pub fn maps(stage: &Stage) -> PathBuf {
    let newest = |directory: &Path, prefix: &str| {
        let entries =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let number = |name: &String| match name.strip_prefix(prefix)?.trim_start_matches('_') {
            "" => Some(1),
            number => number.parse::<u32>().ok(),
        };
        let newest = entries.filter(|name| number(name).is_some()).max_by_key(number);
        directory.join(newest.unwrap())
    };
    newest(&newest(&stage.pins(), "v"), "maps")
}

/// Somebody else's map in the place of a pin.
fn pin_foreign(pin: &Path) {
    let mut command = Command::new("bpftool");
    command.args(["map", "create"]).arg(pin);
    command.args(["type", "array", "key", "4", "value", "4096", "entries", "4", "name", "foreign"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The pins that are damaged, each by itself: what decides, what programs write, and what is the agent's.
const DAMAGED: [&str; 5] = ["BACKENDS", "FRONTENDS4", "SLOTS", "FLOWS", "AFFINITY"];

#[test]
fn the_bpffs_is_unmounted() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let injected = "umount of the bpffs under a running agent (lazily: it is in use); another one is mounted there; \
                    endpoints change; the agent is killed and started again";
    let pins = stage.pinned();
    stage.suffer("bpffs unmounted", injected, |stage, outcome| {
        let at = stage.site.bpffs.path();
        unmount(at, UnmountFlags::DETACH).unwrap();
        outcome.serve();
        mount("bpf", at, "bpf", MountFlags::empty(), Some(c"mode=0700")).unwrap();
        wait_until("everything is pinned again", || stage.pinned().is_superset(&pins));
        stage.change();
        stage.kill();
        stage.start();
        stage.change();
    });
}

#[test]
fn pins_are_removed_under_a_running_agent() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let pins = stage.pinned();
    stage.suffer(
        "pins removed",
        "rm of every pin under a running agent; endpoints change",
        |stage, outcome| {
            pins.iter().for_each(|pin| fs::remove_file(pin).unwrap());
            outcome.serve();
            wait_until("everything is pinned again", || stage.pinned().is_superset(&pins));
            stage.change();
        },
    );
}

/// What lies where a map was pinned, while no agent runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Damage {
    /// Nothing.
    Truncated,
    /// Somebody else's map.
    Foreign,
    /// A directory.
    Corrupt,
}

impl Damage {
    fn inject(self, pin: &Path) {
        fs::remove_file(pin).unwrap();
        match self {
            Self::Truncated => {}
            Self::Foreign => pin_foreign(pin),
            Self::Corrupt => fs::create_dir(pin).unwrap(),
        }
    }

    /// What an operator does who was told of it.
    fn clear_away(self, pin: &Path) {
        match self {
            Self::Truncated => {}
            Self::Foreign => fs::remove_file(pin).unwrap(),
            Self::Corrupt => fs::remove_dir(pin).unwrap(),
        }
    }
}

fn damaged(fault: &'static str, injected: &'static str, damage: Damage) {
    let Some(mut stage) = Stage::with_agent() else { return };
    let mut damaged = DAMAGED.iter().cycle();
    // A small run has two of them.
    let each = if Scale::is_full() { 1 } else { 2 };
    stage.suffer(fault, injected, |stage, _| {
        for name in damaged.by_ref().take(each) {
            stage.kill();
            let pin = maps(stage).join(name);
            damage.inject(&pin);
            stage.begin();
            wait_until("it starts or ends", || stage.agent().is_ready() || !stage.agent().is_alive());
            if !stage.agent().is_ready() {
                let log = stage.agent().log();
                assert!(log.contains(pin.to_str().unwrap()), "it ended and does not name {name}: {log}");
                damage.clear_away(&pin);
                stage.agent = None;
                stage.start();
            }
            stage.change();
        }
    });
}

#[test]
fn a_pin_is_foreign() {
    let injected = "the agent is killed, and somebody else's map pinned in the place of one of its own; a new agent is \
                    started; where it refuses, the foreign pin is removed and it is started again";
    damaged("foreign pin", injected, Damage::Foreign);
}

#[test]
fn a_pin_is_missing() {
    let injected = "the agent is killed, and one of its pins removed; a new agent is started";
    damaged("truncated pins", injected, Damage::Truncated);
}

#[test]
fn a_pin_is_no_pin() {
    let injected = "the agent is killed, and a directory made in the place of a pin; a new agent is started; where it \
                    refuses, the directory is removed and it is started again";
    damaged("corrupt pin", injected, Damage::Corrupt);
}
