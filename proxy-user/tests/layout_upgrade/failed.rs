//! A version that cannot take over leaves what is there at work, and says why.

use crate::{
    command::wait_until,
    held::Held,
    pinned::{all, links, maps, versions},
    stage::{Stage, other_layout, own_layout},
};
use aya::maps::{Array, MapData};
use std::{ffi::OsString, fs, process::Command};

/// How many files an agent may have open: from too few to begin to more than enough, past every step between.
const LIMITS: std::ops::Range<u32> = 12..400;

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

/// Waits until the agent is ready or has ended; what it logged, if it has ended.
fn fails(stage: &mut Stage) -> Option<String> {
    let agent = stage.agent.as_mut().unwrap();
    let mut log = None;
    wait_until("the agent is ready or ends", || {
        let said = agent.log();
        let ended = agent.has_ended();
        if ended {
            log = Some(agent.log());
        }
        ended || said.contains("ready: ")
    });
    if log.is_some() {
        stage.agent = None;
    }
    log
}

#[test]
fn an_upgrade_that_runs_out_of_files_at_any_step_leaves_all_at_work() {
    let Some(other) = other_layout() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.start(&own_layout());
    let mut held = Held::open(&stage);
    stage.stop();
    let (version, pins, before) = (versions(&stage), all(&stage), links(&stage));
    let (mut refused, mut said) = (0, Vec::new());
    let mut limits = LIMITS.step_by(9);
    loop {
        let limit = limits.next().expect("it takes over where it may open as many files as it likes");
        stage.begin(with_open_files(limit, &stage.command(&other)));
        let Some(log) = fails(&mut stage) else { break };
        let last = log.lines().last().unwrap_or_default().to_owned();
        assert!(
            last.contains("Too many open files") || last.contains("os error 24"),
            "{limit} files:\n{log}"
        );
        said.push(last);
        held.check(&format!("with {limit} files it has failed: {log}"));
        if versions(&stage) == version {
            refused += 1;
            // As if it had never been there: the same pins, links and programs.
            assert_eq!((all(&stage), links(&stage)), (pins.clone(), before.clone()), "{limit} files:\n{log}");
        }
    }
    assert!(refused > 3, "it has to fail at several steps: {said:?}");
    held.check("at last");
    assert_ne!(versions(&stage), version);
}

#[test]
fn a_former_map_that_is_none_of_ours_is_named_and_stays() {
    let Some(other) = other_layout() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.start(&own_layout());
    let mut held = Held::open(&stage);
    stage.stop();
    let (pin, away) = (maps(&stage).join("AFFINITY"), stage.site.bpffs.path().join("affinity"));
    fs::rename(&pin, &away).unwrap();
    Array::<MapData, u64>::create(4, 0).unwrap().pin(&pin).unwrap();
    let pins = all(&stage);
    stage.begin(stage.command(&other));
    let log = fails(&mut stage).expect("it cannot take over");
    assert!(log.contains("AFFINITY"), "{log}");
    assert_eq!(all(&stage), pins, "{log}");
    // What runs has its map open.
    held.check("with a foreign pin");

    fs::remove_file(&pin).unwrap();
    fs::rename(&away, &pin).unwrap();
    stage.start(&other);
    held.check("once it is back");
}
