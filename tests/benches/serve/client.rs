use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

/// A request as it goes over the wire.
pub(crate) struct Request(Vec<u8>);

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nhost: oast\r\n\r\n").into_bytes())
    }

    pub(crate) fn post(path: &str, media_type: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: oast\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        Self([head.as_bytes(), body].concat())
    }
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads the whole answer, which must be a good one.
    pub(crate) fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(&request.0)?;
        let status = self.read_line()?.to_owned();
        let mut length = 0;
        loop {
            let header = self.read_line()?.to_ascii_lowercase();
            match header.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(_) => {}
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        anyhow::ensure!(status.starts_with("HTTP/1.1 200"), "{status}: {}", String::from_utf8_lossy(&self.body));
        Ok(())
    }

    fn read_line(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line).context("the daemon hung up")?;
        Ok(self.line.trim_end())
    }
}

/// Sends the request over and over, on each connection as soon as it was answered; gives the latencies.
pub(crate) fn closed_loop(
    address: &str,
    request: &Request,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    on_each(connections, |_| {
        let mut connection = Connection::open(address)?;
        let (begun, mut latencies) = (Instant::now(), Vec::new());
        while begun.elapsed() < time {
            let sent = Instant::now();
            connection.send(request)?;
            latencies.push(sent.elapsed());
        }
        Ok(latencies)
    })
}

/// Sends the request at a steady rate. A latency counts from the moment at which the request was due, so that whoever waits
/// behind a slow answer is counted as well.
pub(crate) fn open_loop(
    address: &str,
    request: &Request,
    rate: f64,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let period = Duration::from_secs_f64(connections as f64 / rate);
    on_each(connections, |at| {
        let mut connection = Connection::open(address)?;
        let mut due = Instant::now() + period * at as u32 / connections as u32;
        let (end, mut latencies) = (due + time, Vec::new());
        while due < end {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.send(request)?;
            latencies.push(due.elapsed());
            due += period;
        }
        Ok(latencies)
    })
}

fn on_each(
    connections: usize,
    work: impl Fn(usize) -> anyhow::Result<Vec<Duration>> + Sync,
) -> anyhow::Result<Vec<Duration>> {
    let work = &work;
    let all: anyhow::Result<Vec<_>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|at| scope.spawn(move || work(at))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a generator does not panic")).collect()
    });
    Ok(all?.concat())
}

/// The latency in microseconds that this share of requests does not exceed.
pub(crate) fn percentile(latencies: &[Duration], share: f64) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
}
