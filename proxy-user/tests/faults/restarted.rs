//! Restarts: with another cluster than before, and with the same.

use crate::stage::{COME, STAY, Stage};

/// The pods that come and go, in turn.
fn turns() -> impl Iterator<Item = usize> {
    (STAY..STAY + COME).cycle()
}

#[test]
fn the_agent_is_restarted_after_the_cluster_has_changed() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let (mut turns, mut listed) = (turns().skip(1), None);
    stage.suffer(
        "restart after the cluster changed",
        "SIGTERM; one endpoint is added and the one before removed, which terminates; a new agent is started",
        |stage, _| {
            stage.stop();
            let comes = turns.next().unwrap();
            stage.open(comes);
            stage.list(&[comes]);
            stage.start();
            stage.wait_until_programmed(&[comes]);
            if let Some(went) = listed.replace(comes) {
                stage.close(went);
            }
        },
    );
}

#[test]
fn the_agent_is_restarted_again_and_again() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let injected =
        "SIGTERM; a new agent is started, whose programs take the place of the old ones at each hook";
    stage.suffer("restart, upgrade of the programs", injected, |stage, _| {
        let before = stage.running();
        stage.stop();
        stage.start();
        let after = stage.running();
        let (before, after): (Vec<_>, Vec<_>) = (before.iter().collect(), after.iter().collect());
        for ((hook, old), (same, new)) in before.into_iter().zip(after) {
            assert!(hook == same && old.len() == new.len(), "{hook}: {old:?}, {same}: {new:?}");
            assert!(old.iter().all(|program| !new.contains(program)), "{hook} has still {old:?}");
        }
    });
}
