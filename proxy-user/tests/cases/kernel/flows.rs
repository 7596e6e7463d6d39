//! TCP connections that are kept while the cluster changes.

use super::{super::case::Flow, sockets::TIMEOUT};
use shunt::lab::Place;
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

/// The connections, each with its name in failures.
#[derive(Default)]
pub struct Flows(Vec<(String, BufReader<TcpStream>)>);

impl Flows {
    /// Makes a connection to a server that says a line, and then repeats each line that it hears.
    pub fn begin(&mut self, place: &Place, flow: &Flow) -> Result<(), String> {
        let name = format!("the flow to {} from {}", flow.to, flow.from);
        let stream = place.run(|| {
            let stream = TcpStream::connect_timeout(&flow.to.address, TIMEOUT)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            Ok::<_, io::Error>(stream)
        });
        let stream =
            stream.map_err(|error| error.to_string())?.map_err(|error| format!("{name}: {error}"))?;
        let mut stream = BufReader::new(stream);
        let greeting = stream.read_line(&mut String::new());
        greeting.map_err(|error| format!("{name}: nobody greets: {error}"))?;
        self.0.push((name, stream));
        Ok(())
    }

    pub fn go_on(&mut self) -> Result<(), String> {
        for (name, stream) in &mut self.0 {
            let line = "still there?\n";
            let mut heard = String::new();
            let asked = stream.get_mut().write_all(line.as_bytes());
            asked
                .and_then(|()| stream.read_line(&mut heard))
                .map_err(|error| format!("{name} ends: {error}"))?;
            if heard != line {
                return Err(format!("{name} ends: {heard:?}"));
            }
        }
        Ok(())
    }
}
