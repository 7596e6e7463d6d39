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
    stage.suffer(
        "restart",
        "SIGTERM; a new agent is started, whose programs take the place of the old ones",
        |stage, _| {
            stage.stop();
            stage.start();
        },
    );
}
