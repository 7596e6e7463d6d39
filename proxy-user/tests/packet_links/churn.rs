//! Many connections by wrk through a NodePort while endpoints come and go. SHUNT_FULL_CHURN=1 has 100,000 of them and
//! 1,000 changes.

use crate::{
    ask::PATIENCE,
    backend::Backend,
    clean::wait_until,
    raw::node_ports,
    service::{self, ready, service},
    stage::{Setup, Stage},
};
use proxy_common::abi::Counter;
use shunt::{
    lab::{Namespace, Place, Program, Scratch, TcpSession, run},
    model::{Event, Family},
};
use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Where nginx listens in each pod.
const HTTP: u16 = 8_081;

/// nginx in a pod, which notes every request.
struct Web {
    requests: std::path::PathBuf,
    _program: Program,
    _files: Scratch,
}

impl Web {
    fn start(backend: &Backend) -> Self {
        let files = Scratch::new().unwrap();
        let root = files.path().display();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error;\n\
             events {{ worker_connections 2048; }}\n\
             http {{ log_format short $remote_addr; access_log {root}/requests short buffer=64k flush=100ms;\n\
             client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
             uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen {HTTP} backlog=4096; listen [::]:{HTTP} backlog=4096; return 200 \"{}\\n\"; }} }}\n",
            backend.name()
        );
        let config = files.write("nginx.conf", &config).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(config).arg("-e").arg(files.path().join("error"));
        let program = Program::start(backend.pod(), &mut nginx).unwrap();
        let address = SocketAddr::new(backend.ip(Family::V4), HTTP);
        wait_until("nginx listens", || {
            let asked = backend.pod().run(|| std::net::TcpStream::connect_timeout(&address, PATIENCE));
            asked.unwrap().is_ok()
        });
        Self { requests: files.path().join("requests"), _program: program, _files: files }
    }

    fn served(&self) -> usize {
        fs::read_to_string(&self.requests).unwrap_or_default().lines().count()
    }
}

/// Connections of one request each for a moment; returns how many, none of which failed.
fn wrk(client: &Namespace, to: SocketAddr) -> usize {
    let mut command = Command::new("wrk");
    command.args([
        "-t1",
        "-c24",
        "-d1s",
        "--timeout",
        "5s",
        "-H",
        "Connection: close",
        &format!("http://{to}/"),
    ]);
    let output = run(client, &mut command, Duration::from_secs(30)).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("errors") && !text.contains("Non-2xx"), "{to}: {text}");
    let (before, _) = text.split_once(" requests in ").unwrap_or_else(|| panic!("{text}"));
    before.split_whitespace().next_back().unwrap().parse().unwrap()
}

#[test]
fn no_connection_fails_while_endpoints_come_and_go() {
    churn(false);
}

#[test]
fn no_connection_fails_while_endpoints_come_and_go_with_clsact() {
    churn(true);
}

fn churn(clsact: bool) {
    let full = std::env::var_os("SHUNT_FULL_CHURN").is_some();
    let (connections, changes) = if full { (100_000, 1_000) } else { (10_000, 200) };
    let setup = Setup { flows: 65_536, clsact, ..Setup::default() };
    let Some(mut stage) = Stage::new(&setup) else { return };
    let stay = [stage.pod(0, "stays-here"), stage.pod(1, "stays-there")];
    let come = [0, 1, 0, 1].map(|node| stage.pod(node, "comes"));
    let web: Vec<_> = stay.iter().chain(&come).map(Web::start).collect();
    let serve = |stage: &mut Stage, change: usize| {
        // One endpoint comes or goes with each change: a Gray code.
        let present = change ^ (change >> 1);
        let come =
            come.iter().zip(0..).filter(|(_, bit)| (present >> bit) & 1 != 0).map(|(backend, _)| backend);
        let endpoints = ready(&stay.iter().chain(come).collect::<Vec<_>>());
        let http = Family::BOTH.map(|family| {
            let mut slice = service::slice(&service(1), family, &endpoints);
            slice.ports.iter_mut().for_each(|port| port.port = HTTP);
            Event::SliceApplied(slice)
        });
        stage.apply(http);
        stage.serve(&service(2), &endpoints);
    };
    serve(&mut stage, 0);
    stage.apply([Event::ServiceApplied(service(1))]);
    // To all of them, also to those that go.
    serve(&mut stage, 10);
    let client = Place::from(stage.client());
    let mut sessions: Vec<_> = node_ports(&stage, 2)
        .iter()
        .flat_map(|to| [*to; 12])
        .map(|to| client.run(|| TcpSession::open(to, PATIENCE)).unwrap().unwrap())
        .collect();
    let targets = node_ports(&stage, 1);

    let (began, done) = (Instant::now(), AtomicBool::new(false));
    let wrk_client = stage.add_client("wrk");
    let (total, made) = thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut total = 0;
            for to in targets.iter().cycle() {
                total += wrk(&wrk_client, *to);
                if total >= connections && done.load(Ordering::Relaxed) {
                    return total;
                }
            }
            unreachable!("an endless iterator")
        });
        let mut made = 10;
        while made < 10 + changes || !clients.is_finished() {
            made += 1;
            serve(&mut stage, made);
            done.store(made >= 10 + changes, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(10));
        }
        (clients.join().unwrap(), made - 10)
    });
    let took = began.elapsed();
    for session in &mut sessions {
        session.exchange(b"still there?").unwrap();
    }
    thread::sleep(Duration::from_millis(200));
    let served: Vec<_> = web.iter().map(Web::served).collect();
    let count = |counter: Counter| (counter.name(), stage.counter(counter));
    let counters = [Counter::FlowNew, Counter::FlowReplaced, Counter::PortsExhausted, Counter::FlowsFull];
    println!(
        "{total} connections and {made} changes in {took:?}; served {served:?}; {:?}",
        counters.map(count)
    );
    assert!(made >= changes && took < Duration::from_secs(90), "{made} changes, {took:?}");
    assert!(served.iter().sum::<usize>() >= total, "{served:?}");
    assert!(served.iter().all(|served| *served > total / 50), "{served:?}");
    for counter in [Counter::PortsExhausted, Counter::FlowsFull] {
        assert_eq!(stage.counter(counter), 0, "{}", counter.name());
    }
    drop((sessions, web, stay, come));
    stage.assert_nothing_left();
}
