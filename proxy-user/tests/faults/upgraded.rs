//! Another version takes over, with other programs and another layout of maps, and gives back.

use crate::stage::Stage;
use std::{
    env,
    path::{Path, PathBuf},
};

/// The version with another layout that `cargo xtask other-layout` builds; `None`, with the reason printed, where nobody
/// has built it.
fn other_layout() -> Option<PathBuf> {
    let given = env::var_os("SHUNT_OTHER_LAYOUT").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/other-layout/shunt");
    let found = given.or_else(|| built.exists().then_some(built));
    if found.is_none() {
        eprintln!("SKIPPED, no version with another layout: `cargo xtask other-layout` builds one");
    }
    found
}

#[test]
fn another_layout_of_maps_takes_over_and_gives_back() {
    let Some(other) = other_layout() else { return };
    let Some(mut stage) = Stage::with_agent() else { return };
    let version = |stage: &Stage| {
        let mut versions: Vec<_> = stage.versions();
        assert_eq!(versions.len(), 1, "{versions:?}");
        versions.remove(0)
    };
    let own = version(&stage);
    let injected = "the agent is replaced by one whose maps have other keys and values (SIGTERM, start), endpoints \
                    change, and back";
    stage.suffer("upgrade and downgrade of the map layout", injected, |stage, outcome| {
        stage.stop();
        stage.program = Some(other.clone());
        stage.start();
        assert_ne!(version(stage), own);
        stage.change();
        outcome.serve();
        stage.stop();
        stage.program = None;
        stage.start();
        assert_eq!(version(stage), own);
        stage.change();
    });
}
