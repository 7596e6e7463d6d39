//! The API server is away while the agent is restarted.

use crate::stage::Stage;

#[test]
fn the_agent_is_restarted_while_the_api_server_is_away() {
    let Some(mut stage) = Stage::with_control_plane() else { return };
    stage.start();
    let injected = "SIGKILL of kube-apiserver and of the agent; a new agent is started, which finds no API server; the \
                    API server comes back, and endpoints change";
    stage.suffer("restart with the API away", injected, |stage, outcome| {
        stage.plane().kill();
        stage.kill();
        stage.begin();
        outcome.serve();
        // Once more, since it has found what the first one left.
        stage.kill();
        stage.begin();
        outcome.serve();
        assert!(!stage.agent().is_ready(), "it is ready without an API server");
        stage.plane().start_again().unwrap();
        stage.agent().wait_until_ready();
        stage.change();
    });
}
