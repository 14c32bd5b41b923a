//! A server of a few lines for tests: it answers as it is told to, also wrongly, late, or not at all.
#![allow(clippy::disallowed_methods)] // It speaks to sockets of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// What the server got.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The first line, such as `POST /v1/embeddings HTTP/1.1`.
    pub(super) line: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) json: Value,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.json["input"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|text| text.as_str().expect("a text"))
            .collect()
    }
}

/// What it does about it.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Status, further header lines, body.
    Whole(u16, &'static str, Vec<u8>),
    /// 200, in chunks of so many bytes.
    Chunked(usize, Vec<u8>),
    /// The head of a 200, part of the body, and the end of the connection.
    BrokenOff,
    /// The connection is closed without a word.
    HangUp,
    /// Nothing, until the client gives up.
    Stall,
    /// The head of a 200 and the start of its body, then nothing, until the client gives up.
    StallMidBody,
}

impl Reply {
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self::Whole(status, "content-type: application/json\r\n", value.to_string().into_bytes())
    }

    /// The right vectors, with some numbers as integers and fields that nobody asked for.
    pub(super) fn good(request: &Request) -> Self {
        Self::json(200, &good_answer(request))
    }
}

/// An answer with the vector of each text.
pub(super) fn good_answer(request: &Request) -> Value {
    let entry = |(index, text): (usize, &&str)| {
        let [first, second, third] = vector_of(text).map(f64::from);
        json!({"object": "embedding", "index": index, "embedding": [first as u64, second, third]})
    };
    let data: Vec<Value> = request.texts().iter().enumerate().map(entry).collect();
    json!({"object": "list", "data": data, "model": "other", "usage": {"prompt_tokens": 8}})
}

/// What the model makes of a text: its length, and two numbers by its contents.
pub(super) fn vector_of(text: &str) -> [f32; 3] {
    let sum: u32 = text.bytes().map(u32::from).sum();
    [text.chars().count() as f32, sum as f32 / 8.0, -0.5]
}

type Script = dyn Fn(usize, &Request) -> Reply + Send + Sync;

struct Shared {
    requests: Mutex<Vec<Request>>,
    closing: AtomicBool,
    script: Box<Script>,
    /// Wakes those that stall.
    closed: (Mutex<bool>, Condvar),
}

/// The server. It goes with its handle.
pub(super) struct Stub {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Stub {
    /// Starts one that replies as the script says, which is told how many requests came before.
    pub(super) fn start(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            closing: AtomicBool::new(false),
            script: Box::new(script),
            closed: Default::default(),
        });
        let of_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_acceptor.closing.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&of_acceptor);
                // A client that goes away is part of the tests.
                std::thread::spawn(move || stream.and_then(|stream| shared.serve(stream)));
            }
        });
        Self { shared, address, acceptor: Some(acceptor) }
    }

    /// The base URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What came so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no panic").clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        *self.shared.closed.0.lock().expect("no panic") = true;
        self.shared.closed.1.notify_all();
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        while let Some(request) = read_request(&mut reader)? {
            let before = {
                let mut requests = self.requests.lock().expect("no panic");
                requests.push(request.clone());
                requests.len() - 1
            };
            match (self.script)(before, &request) {
                Reply::Whole(status, headers, body) => {
                    write!(
                        stream,
                        "HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n",
                        body.len()
                    )?;
                    stream.write_all(&body)?;
                }
                Reply::Chunked(size, body) => {
                    write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                    for chunk in body.chunks(size) {
                        write!(stream, "{:x}\r\n", chunk.len())?;
                        stream.write_all(chunk)?;
                        write!(stream, "\r\n")?;
                    }
                    write!(stream, "0\r\n\r\n")?;
                }
                Reply::BrokenOff => {
                    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{{\"data\":")?;
                    return Ok(());
                }
                Reply::HangUp => return Ok(()),
                Reply::Stall => return self.wait_for_the_end(),
                Reply::StallMidBody => {
                    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{{\"data\":")?;
                    return self.wait_for_the_end();
                }
            }
            stream.flush()?;
        }
        Ok(())
    }

    fn wait_for_the_end(&self) -> std::io::Result<()> {
        let mut closed = self.closed.0.lock().expect("no panic");
        while !*closed {
            closed = self.closed.1.wait(closed).expect("no panic");
        }
        Ok(())
    }
}

/// The next request on a connection; `None` at its end.
fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let mut request = Request { line: line.trim_end().to_owned(), headers, json: Value::Null };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.json = serde_json::from_slice(&body)?;
    Ok(Some(request))
}
