//! The machine around the agent: a disk without room, a clock that is set back, a second agent.

use crate::{agent::Agent, stage::Stage};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

#[test]
fn a_second_agent_is_refused() {
    let Some(mut stage) = Stage::with_agent() else { return };
    stage.suffer(
        "two agents at once",
        "a second agent is started over the same pins: it names the first, and ends",
        |stage, _| {
            let mut second = stage.another(stage.command());
            second.wait_for("is in use by");
            assert!(second.ended() != Some(0));
            assert!(stage.agent().is_alive());
        },
    );
}

/// A file system of a few pages, which is full but for what has room in files that are there.
struct FullDisk(PathBuf);

impl FullDisk {
    fn new(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        mount("shunt-full", at, "tmpfs", MountFlags::empty(), c"size=64k").unwrap();
        let disk = Self(at.to_owned());
        File::create(disk.log()).unwrap();
        let mut file = File::create(at.join("filler")).unwrap();
        while let Ok(count @ 1..) = file.write(&[0; 4096]) {
            assert!(count > 0);
        }
        assert_eq!(fs::write(at.join("more"), "x").unwrap_err().kind(), ErrorKind::StorageFull);
        disk
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn the_disk_is_full() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let disk = FullDisk::new(&stage.site.directory.path().join("full"));
    let injected = "the file system of the agent's log, working directory and TMPDIR has no byte left; endpoints change, \
                    it is killed and started again";
    stage.suffer("disk full", injected, |stage, _| {
        stage.kill();
        let mut command = stage.command();
        command.current_dir(&disk.0).env("TMPDIR", &disk.0);
        stage.agent = Some(Agent::start(&stage.node().into(), command, &disk.log()));
        stage.change();
        assert!(stage.agent().is_alive());
        assert_eq!(fs::read(disk.log()).unwrap(), b"", "there was room for a log");
    });
}

/// Debian's package libfaketime.
const FAKETIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

#[test]
fn the_clock_is_set_back_a_day() {
    let Some(library) = FAKETIME.into_iter().find(|path| Path::new(path).exists()) else {
        assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "no libfaketime");
        eprintln!("skipped: no libfaketime (apt-get install libfaketime)");
        return;
    };
    let Some(mut stage) = Stage::new() else { return };
    let offset = stage.site.directory.path().join("clock");
    // Only what settimeofday(2) changes: CLOCK_MONOTONIC and CLOCK_BOOTTIME go on.
    stage.environment = vec![
        ("LD_PRELOAD".into(), library.into()),
        ("FAKETIME_TIMESTAMP_FILE".into(), offset.clone().into()),
        ("FAKETIME_NO_CACHE".into(), "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
        ("FAKETIME_DONT_RESET".into(), "1".into()),
    ];
    fs::write(&offset, "+0").unwrap();
    stage.start();
    let today = day(&stage.agent().log());
    let injected = "CLOCK_REALTIME of the agent jumps back by a day (libfaketime) and, after a restart, forward again; \
                    endpoints change each time";
    stage.suffer("clock set back a day", injected, |stage, _| {
        for (jump, restarts) in [("-1d", false), ("-1d", true), ("+0", false)] {
            fs::write(&offset, jump).unwrap();
            if restarts {
                stage.kill();
                stage.start();
                assert!(day(&stage.agent().log()) < today, "the clock was not set back");
            }
            stage.change();
        }
    });
}

/// The day of the first line of a log, `2026-11-21`.
fn day(log: &str) -> String {
    let stamp = log.split(['T', ' ']).find(|word| word.len() == 10 && word.starts_with("20"));
    stamp.unwrap_or_else(|| panic!("a log without a time: {log}")).to_owned()
}
