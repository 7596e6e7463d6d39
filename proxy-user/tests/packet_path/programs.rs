//! Real servers and clients.

use crate::{ask::PATIENCE, backend::Backend, service::ENDPOINT_PORT};
use shunt::lab::{Place, Program, Scratch, run};
use std::{
    process::{Command, Output},
    time::Duration,
};

/// nginx on port 8080 of a pod: `/who` answers with its name and whom it saw, anything else is a file.
pub struct Nginx {
    _program: Program,
    pub files: Scratch,
}

impl Nginx {
    pub fn start(backend: &Backend) -> Self {
        let files = Scratch::new().unwrap();
        let (root, name) = (files.path().display(), backend.name());
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen {ENDPOINT_PORT}; listen [::]:{ENDPOINT_PORT}; root {root};\n\
             location = /who {{ return 200 \"{name} $remote_addr\\n\"; }} }} }}\n"
        );
        let config = files.write("nginx.conf", &config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(config).arg("-e").arg(files.path().join("error"));
        let program = Program::start(backend.place(), &mut command).unwrap();
        let nginx = Self { _program: program, files };
        crate::clean::wait_until("nginx answers", || {
            let url = format!("http://localhost:{ENDPOINT_PORT}/who");
            run(backend.place(), Command::new("curl").args(["--silent", &url]), PATIENCE)
                .unwrap()
                .status
                .success()
        });
        nginx
    }
}

/// Runs a client to its end, which must be a good one.
#[track_caller]
pub fn client(place: impl Into<Place>, program: &str, args: &[&str], limit: Duration) -> Output {
    let output = run(place, Command::new(program).args(args), limit);
    let output = output.unwrap_or_else(|error| panic!("{error}; `cargo xtask test` installs it"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    output
}

/// What it printed.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
