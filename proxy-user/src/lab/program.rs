//! External programs with an end in sight: what they print is kept, and how long they take is bounded.

use super::{LabError, Place, Process};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use std::{
    io::{self, Read, Write},
    process::{Command, Output, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long what is still in the pipes may take once the program has ended: a child of it that made itself
/// a session may hold them open.
const REST: Duration = Duration::from_secs(1);

/// A program in a place, with its output read as it comes. Dropping it kills it, and the processes that it
/// started, as [`Process`] does.
#[derive(Debug)]
pub struct Program {
    name: String,
    process: Process,
    printed: Arc<Printed>,
}

/// What a program has printed, and who waits for it.
#[derive(Debug, Default)]
struct Printed {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    streams: [Vec<u8>; 2],
    ended: usize,
}

impl Program {
    /// Starts a command in a place, with nothing to read.
    ///
    /// # Errors
    /// If it cannot be started or cannot enter its place.
    pub fn start(place: impl Into<Place>, command: &mut Command) -> Result<Self, LabError> {
        Self::start_with_input(place, command, b"")
    }

    /// Starts a command in a place. What it is to read must fit a pipe, 64 KiB.
    ///
    /// # Errors
    /// If it cannot be started, cannot enter its place, or ends before it has its input.
    pub fn start_with_input(
        place: impl Into<Place>,
        command: &mut Command,
        input: &[u8],
    ) -> Result<Self, LabError> {
        let name = command.get_program().display().to_string();
        let fail = |call| {
            let name = name.clone();
            move |error: io::Error| LabError::new(call, name, error)
        };
        place.into().enter_command(command);
        command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut process = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let child = process.child();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).map_err(fail("write to"))?;
        }
        let printed = Arc::new(Printed::default());
        for (index, stream) in streams.into_iter().enumerate() {
            let printed = Arc::clone(&printed);
            let work = move || printed.follow(index, stream);
            let thread = thread::Builder::new().name("lab-output".to_owned()).spawn(work);
            thread.map_err(fail("clone"))?;
        }
        Ok(Self { name, process, printed })
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().streams[0]).into_owned()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().streams[1]).into_owned()
    }

    /// Waits until it has printed a text, on either stream: a server that it listens, tcpdump that it is
    /// at work.
    ///
    /// # Errors
    /// `TimedOut`, or `UnexpectedEof` if it printed everything it had to say without the text.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<(), LabError> {
        let has_it =
            |state: &State| state.streams.iter().any(|stream| String::from_utf8_lossy(stream).contains(text));
        let state = self.printed.wait(limit, |state| has_it(state) || state.ended == state.streams.len());
        let kind = match &*state {
            state if has_it(state) => return Ok(()),
            state if state.ended == state.streams.len() => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::TimedOut,
        };
        drop(state);
        Err(self.failure("wait for a text", io::Error::new(kind, format!("never printed {text:?}"))))
    }

    /// Sends SIGINT, on which tcpdump, ping and iperf3 print what they have and end.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn interrupt(&mut self) -> Result<(), LabError> {
        let pid = Pid::from_child(self.process.child());
        kill_process(pid, Signal::INT).map_err(|error| LabError::new("kill", &self.name, error))
    }

    /// Waits until it ends and returns what it printed.
    ///
    /// # Errors
    /// `TimedOut` if it takes longer than `limit`; it is killed then, and the error has what it printed.
    pub fn finish(mut self, limit: Duration) -> Result<Output, LabError> {
        let ended = wait_until_dead(Pid::from_child(self.process.child()), limit);
        match ended {
            Ok(true) => {}
            Ok(false) => {
                let error = io::Error::new(io::ErrorKind::TimedOut, format!("still running after {limit:?}"));
                return Err(self.failure("wait for", error));
            }
            Err(error) => return Err(self.failure("poll", error)),
        }
        // Before it is reaped: whatever it left in its process group goes with it, and lets go of the pipes.
        let status = self.process.end().map_err(|error| self.failure("wait for", error))?;
        let mut state = self.printed.wait(REST, |state| state.ended == state.streams.len());
        let [stdout, stderr] = std::mem::take(&mut state.streams);
        drop(state);
        Ok(Output { status, stdout, stderr })
    }

    fn failure(&self, call: &'static str, error: io::Error) -> LabError {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        let text = format!("{error}; printed: {stdout:?}, {stderr:?}");
        LabError::new(call, &self.name, io::Error::new(error.kind(), text))
    }
}

/// Runs a command in a place to its end.
///
/// # Errors
/// If it cannot be started, or `TimedOut`: it is killed when the limit has passed. A program that fails is
/// no error: look at its status.
pub fn run(place: impl Into<Place>, command: &mut Command, limit: Duration) -> Result<Output, LabError> {
    Program::start(place, command)?.finish(limit)
}

/// False if it still lives at the end of the limit. It is not reaped.
fn wait_until_dead(pid: Pid, limit: Duration) -> io::Result<bool> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let end = Instant::now() + limit;
    loop {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now()));
        let left = left.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Printed {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what comes until the stream ends.
    fn follow(&self, index: usize, stream: Option<impl Read>) {
        let mut buffer = [0; 8192];
        let mut stream = stream;
        while let Some(Ok(count @ 1..)) = stream.as_mut().map(|stream| stream.read(&mut buffer)) {
            self.lock().streams[index].extend_from_slice(&buffer[..count]);
            self.changed.notify_all();
        }
        self.lock().ended += 1;
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
