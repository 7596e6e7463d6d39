//! The programs on the cgroup.

use crate::clients::{meanwhile, program, service};
use crate::kernel_lab::{Lab, small};
use crate::{assert_quiet, faults, links, run, watch};
use aya_obj::generated::bpf_attach_type::BPF_CGROUP_INET4_CONNECT;
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
use shunt::kernel::sys::{ForeignProgram, LinkFd, calls};
use shunt::kernel::watchman::Fault;
use shunt::kernel::{Kernel, Options, PROGRAMS};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

#[test]
fn a_look_that_finds_nothing_costs_a_few_calls() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    let (before, start) = (calls(), Instant::now());
    assert_quiet(&watch(&mut kernel));
    // The link's info and the programs in effect of each program, and the four stages.
    assert_eq!(calls() - before, 2 * PROGRAMS.len() as u64 + 4);
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
}

#[test]
fn what_bpftool_has_detached_is_attached_again() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    meanwhile(&lab, &mut kernel, |kernel, tally| {
        for (name, _) in PROGRAMS {
            run("bpftool", &["link", "detach", "pinned", links(&lab).join(name).to_str().unwrap()]);
            let round = watch(kernel);
            assert_eq!(faults(&round.restored), [(name, Fault::Detached)].into());
            assert!(round.found.is_empty(), "{round:#?}");
            // While nothing was attached at connect() or getpeername(), the kernel dialled the Service's address itself.
            let failures = tally.failures();
            assert!(
                failures.is_empty() || ["connect4", "getpeername4"].contains(&name),
                "{name}: {failures:?}"
            );
            tally.some_more();
            assert_eq!(tally.failures(), [""; 0]);
        }
        assert_quiet(&watch(kernel));
    });
    assert!(kernel.attached().unwrap().iter().all(|program| program.effective));
    assert_eq!(fs::read_dir(links(&lab)).unwrap().count(), PROGRAMS.len(), "no temporary pin is left");
}

#[test]
fn a_program_that_was_replaced_is_put_back_without_a_gap() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    let (kind, at) = (BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT);
    let other = ForeignProgram::load("other", kind, at, 1).unwrap();
    let link = LinkFd::open(&links(&lab).join("connect4")).unwrap();
    let before = link.info().unwrap();
    meanwhile(&lab, &mut kernel, |kernel, tally| {
        link.update(other.as_fd()).unwrap();
        let round = watch(kernel);
        assert_eq!(faults(&round.restored), [("connect4", Fault::Replaced)].into());
        assert!(round.restored[0].text.contains("other (program"), "{}", round.restored[0]);
        tally.some_more();
        tally.failures();
    });
    assert_eq!(link.info().unwrap(), before);
}

#[test]
fn another_load_balancers_program_stays_and_is_named_while_it_is_there() {
    let Some(lab) = Lab::new() else { return };
    let at = BPF_CGROUP_INET4_CONNECT;
    let cgroup = shunt::kernel::Cgroup::open(lab.cgroup()).unwrap();
    let theirs = ForeignProgram::load_rewriting("cil_sock4_conn", "127.0.0.9".parse().unwrap()).unwrap();
    theirs.attach(cgroup.as_fd(), at, aya_obj::generated::BPF_F_ALLOW_MULTI).unwrap();
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    for _ in 0..2 {
        let round = watch(&mut kernel);
        assert_eq!(faults(&round.found), [("connect4", Fault::ForeignBefore)].into());
        assert!(
            round.restored.is_empty() && round.found[0].text.contains("cil_sock4_conn (program"),
            "{round:#?}"
        );
    }
    lab.on_island(|| {
        let theirs = TcpListener::bind("127.0.0.9:80").unwrap();
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        program(&mut kernel, ours.local_addr().unwrap());
        TcpStream::connect(service()).unwrap();
        theirs.accept().expect("it is their program that decides, and it was left alone");
    });
    theirs.detach(cgroup.as_fd(), at).unwrap();
    assert_quiet(&watch(&mut kernel));
}

#[test]
fn a_cgroup_that_was_removed_and_made_again_is_served_again() {
    let Some(lab) = Lab::new() else { return };
    let child = lab.cgroup().join("pods");
    let make = || {
        fs::create_dir(&child).unwrap();
        fs::write(child.join("cgroup.type"), "threaded").unwrap();
    };
    make();
    let options = Options { cgroup: child.clone(), capacities: small(), ..lab.options() };
    let mut kernel = Kernel::open(&options).unwrap();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    fs::remove_dir(&child).unwrap();
    for _ in 0..2 {
        let round = watch(&mut kernel);
        assert_eq!(faults(&round.found), [("cgroup", Fault::Missing)].into());
        assert!(round.restored.is_empty());
    }
    make();
    let round = watch(&mut kernel);
    assert_eq!(round.restored.len(), PROGRAMS.len(), "{round:#?}");
    // The kernel notes some time later that links to a cgroup have lost it.
    let is_loss = |fault| matches!(fault, Fault::Detached | Fault::Elsewhere);
    assert!(
        round.found.is_empty() && round.restored.iter().all(|finding| is_loss(finding.fault)),
        "{round:#?}"
    );
    assert_quiet(&watch(&mut kernel));
    lab.on_island(|| {
        // This thread alone.
        fs::write(child.join("cgroup.threads"), "0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        program(&mut kernel, listener.local_addr().unwrap());
        assert_eq!(TcpStream::connect(service()).unwrap().peer_addr().unwrap(), service());
    });
    let end = Instant::now() + Duration::from_secs(3);
    while fs::remove_dir(&child).is_err() {
        assert!(Instant::now() < end, "the thread has not left");
    }
}
