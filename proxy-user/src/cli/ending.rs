//! Ctrl-C and its kin, for commands that go on until they are told to end.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    io::{self, PipeReader},
    os::fd::BorrowedFd,
    thread,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// A pipe that hangs up once SIGINT, SIGTERM or SIGHUP has come.
pub struct Ending(PipeReader);

/// What a wait was ended by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The command is to end.
    Told,
    /// The descriptor can be read.
    Readable,
    /// The time has come.
    Due,
}

impl Ending {
    /// Takes the signals from now on.
    ///
    /// # Errors
    /// Where no handler or thread can be made.
    pub fn catch() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let [mut int, mut term, mut hup] = {
            // A handler belongs to the runtime it was made in.
            let _entered = runtime.enter();
            let [int, term, hup] =
                [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
            [int?, term?, hup?]
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                    _ = hup.recv() => {}
                }
            });
            drop(writer);
        })?;
        Ok(Self(reader))
    }

    /// Waits until a signal comes, `descriptor` can be read, or it is so late.
    ///
    /// # Errors
    /// Of poll(2).
    pub fn wait(&self, descriptor: Option<BorrowedFd<'_>>, due: Instant) -> io::Result<Woken> {
        let mut watched = vec![PollFd::new(&self.0, PollFlags::IN)];
        watched.extend(descriptor.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        loop {
            let left = due.saturating_duration_since(Instant::now());
            match poll(&mut watched, Some(&timespec(left))) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            let ready = |place: usize| watched.get(place).is_some_and(|fd| !fd.revents().is_empty());
            if ready(0) {
                return Ok(Woken::Told);
            }
            if ready(1) {
                return Ok(Woken::Readable);
            }
            if Instant::now() >= due {
                return Ok(Woken::Due);
            }
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, os::fd::AsFd as _};

    #[test]
    fn a_wait_ends_with_what_comes_first() {
        let (reader, writer) = io::pipe().unwrap();
        let ending = Ending(reader);
        let (data, mut more) = io::pipe().unwrap();
        let start = Instant::now();
        let soon = start + Duration::from_millis(30);
        assert_eq!(ending.wait(Some(data.as_fd()), soon).unwrap(), Woken::Due);
        assert!(Instant::now() >= soon);
        let late = start + Duration::from_secs(60);
        more.write_all(b"x").unwrap();
        assert_eq!(ending.wait(Some(data.as_fd()), late).unwrap(), Woken::Readable);
        drop(writer);
        assert_eq!(ending.wait(Some(data.as_fd()), late).unwrap(), Woken::Told, "before all else");
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
