//! Clients that dial a Service all the while, and count.

use crate::kernel_lab::{Lab, backend, frontend, slot};
use proxy_common::abi::{EndpointSet, FrontendFlags, FrontendValue, TCP};
use shunt::kernel::Kernel;
use shunt::writer::{Store, Writer as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(5);

/// What clients have met so far.
#[derive(Default)]
pub struct Tally {
    begun: AtomicBool,
    ended: AtomicBool,
    made: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Tally {
    /// Lets the clients begin, and waits until they have made some connections.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
        self.some_more();
        assert_eq!(self.failures(), [""; 0]);
    }

    /// Waits until so many more connections were made, whatever fails meanwhile.
    pub fn some_more(&self) {
        let (before, end) = (self.made.load(Ordering::Relaxed), Instant::now() + TIMEOUT);
        while self.made.load(Ordering::Relaxed) < before + 20 {
            assert!(Instant::now() < end, "no connections: {:?}", self.failed.lock());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many have failed since the last call.
    pub fn failures(&self) -> Vec<String> {
        std::mem::take(&mut self.failed.lock().unwrap())
    }

    fn dial(&self, address: SocketAddr) {
        while !self.ended.load(Ordering::Relaxed) {
            if !self.begun.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            match TcpStream::connect_timeout(&address, TIMEOUT).and_then(|client| client.peer_addr()) {
                Ok(peer) if peer == address => {
                    self.made.fetch_add(1, Ordering::Relaxed);
                }
                Ok(peer) => self.failed.lock().unwrap().push(format!("it says {peer}")),
                Err(error) => self.failed.lock().unwrap().push(error.to_string()),
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The address that clients dial.
pub fn service() -> SocketAddr {
    "10.96.0.1:80".parse().unwrap()
}

/// Has one backend in the maps, at `to`.
pub fn program(kernel: &mut Kernel, to: SocketAddr) {
    let maps = kernel.maps_mut();
    let entry = backend(&to.ip().to_string(), to.port(), 1);
    maps.store(&Store::Backend { index: 8, entry });
    maps.store(&Store::Slot { index: 8, backend: slot(8) });
    maps.store(&Store::ClusterSet { service: 1, set: EndpointSet::new(8, 1) });
    let key = frontend("10.96.0.1", 80, TCP);
    let value = FrontendValue::new(1, FrontendFlags::CLUSTER_IP, key.check());
    maps.put_frontends(&[(key, value)]).expect("frontend");
}

/// Does `work` in the lab's cgroup on an island, while two clients dial the Service. A failure that `work` has not taken note
/// of fails the test.
pub fn meanwhile(lab: &Lab, kernel: &mut Kernel, work: impl FnOnce(&mut Kernel, &Tally) + Send) {
    among_clients(lab, |to, tally| {
        program(kernel, to);
        tally.begin();
        work(kernel, tally);
    });
}

/// The same where the kernel's handle comes and goes: `work` is told the backend, and has to program it before it lets the
/// clients begin.
pub fn among_clients(lab: &Lab, work: impl FnOnce(SocketAddr, &Tally) + Send) {
    lab.on_island(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tally = Tally::default();
        thread::scope(|scope| {
            let ended = EndOfScope(&tally.ended, address);
            scope.spawn(|| {
                let clients = listener.incoming().flatten();
                clients.take_while(|_| !tally.ended.load(Ordering::Relaxed)).for_each(drop);
            });
            for _ in 0..2 {
                scope.spawn(|| tally.dial(service()));
            }
            work(address, &tally);
            tally.some_more();
            assert_eq!(tally.failures(), [""; 0]);
            drop(ended);
        });
    });
}

/// Ends the threads, also where the work has panicked.
struct EndOfScope<'a>(&'a AtomicBool, SocketAddr);

impl Drop for EndOfScope<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        // The listener waits for one more.
        let _ = TcpStream::connect_timeout(&self.1, TIMEOUT);
    }
}
