//! A version that cannot take over leaves what is there at work, and says why.

use crate::{
    held::Held,
    pinned::{links, maps, own_version, versions},
    stage::{Stage, other_layout, own_layout},
};
use aya::maps::{Array, MapData};
use std::{ffi::OsString, fs, process::Command};

/// How many files an agent may have open: too few to follow manifests, to make the maps.
const LIMITS: [u32; 3] = [12, 24, 36];

/// The same command with a limit of open files.
fn with_open_files(limit: u32, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args().map(OsString::from));
    for (name, _) in command.get_envs() {
        limited.env_remove(name);
    }
    limited
}

#[test]
fn an_upgrade_that_runs_out_of_files_leaves_all_at_work_and_says_so() {
    let Some(other) = other_layout() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.start(&own_layout());
    let mut held = Held::open(&stage);
    stage.stop();
    let before = links(&stage, &own_version());
    for limit in LIMITS {
        stage.begin(with_open_files(limit, &stage.command(&other)));
        let log = stage.ends().unwrap_or_else(|| panic!("{limit} files cannot be enough"));
        let last = log.lines().last().unwrap_or_default();
        assert!(last.contains("Too many open files"), "{limit} files:\n{log}");
        assert_eq!(links(&stage, &own_version()), before, "{limit} files:\n{log}");
        held.check(&format!("with {limit} files"));
    }
    stage.start(&own_layout());
    held.check("with the former version again");
    assert_eq!(versions(&stage), [own_version()].into());
}

#[test]
fn a_former_map_that_cannot_be_read_is_named_and_connections_of_sockets_go_on() {
    let Some(other) = other_layout() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.start(&own_layout());
    let mut held = Held::open(&stage);
    stage.stop();
    let pin = maps(&stage).join("AFFINITY");
    fs::remove_file(&pin).unwrap();
    Array::<MapData, u64>::create(4, 0).unwrap().pin(&pin).unwrap();
    held.check("with a foreign pin");
    stage.start(&other);
    let log = stage.agent.as_ref().unwrap().log();
    let warning =
        log.lines().find(|line| line.contains("cannot be taken over")).unwrap_or_else(|| panic!("{log}"));
    assert!(warning.contains("map AFFINITY: it was made without BTF"), "{warning}");
    // No map of the former version is left to find flows of packets in.
    held.check_sockets("with new maps");
    assert_ne!(versions(&stage), [own_version()].into());
    drop(Held::open(&stage));
}
