//! A cloud that misbehaves: a service in this process that speaks what S3 does, and fails as it is told.
//!
//! Guards against: a put whose answer was lost taken for a conflict, two winners of one name, half an object taken for the whole,
//! an error that is not told.
#![cfg(feature = "cloud")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use codegraph_vector_base::ErrorKind;
use codegraph_vector_objects::{CloudTarget, ObjectTarget, Put, TargetOptions, Written};

/// What becomes of the next request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing is done, and this status is answered.
    Status(u16),
    /// It is done, and the connection breaks.
    LostAnswer,
    /// It is done, and answered by a status.
    DoneThen(u16),
    /// Half of the body comes.
    HalfBody,
    /// Nothing is done, and nothing comes.
    Silence,
}

#[derive(Default)]
struct Service {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// For requests with this method, in order.
    faults: Mutex<VecDeque<(&'static str, Fault)>>,
    requests: Mutex<Vec<String>>,
}

impl Service {
    fn start() -> (Arc<Self>, CloudTarget) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let service = Arc::new(Self::default());
        let serving = service.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, service) = (stream.unwrap(), serving.clone());
                thread::spawn(move || while service.serve(&stream).is_some() {});
            }
        });
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let options = TargetOptions {
            timeout: Duration::from_millis(500),
            retries: 3,
            first_wait: Duration::from_millis(1),
            settings: vec![
                setting("aws_endpoint_url", &format!("http://{address}")),
                setting("aws_allow_http", "true"),
                setting("aws_region", "us-east-1"),
                setting("aws_access_key_id", "key"),
                setting("aws_secret_access_key", "hidden"),
            ],
            ..TargetOptions::default()
        };
        (service, CloudTarget::open("s3://bucket/under", options).unwrap())
    }

    fn fail(&self, method: &'static str, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults.iter().map(|fault| (method, *fault)));
    }

    fn fault(&self, method: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let is_next = faults.front().is_some_and(|(of, _)| *of == method);
        if is_next { faults.pop_front().map(|(_, fault)| fault) } else { None }
    }

    /// One request; `None` once the connection is over.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let (method, path) = line.split_once(' ')?;
        let path = path.split([' ', '?']).next()?.to_owned();
        let (mut length, mut range, mut is_create) = (0, None, false);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_ascii_lowercase();
            match header.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().ok()?,
                Some(("range", value)) => {
                    let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
                    range = Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?));
                }
                Some(("if-none-match", value)) => is_create = value.trim() == "*",
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        self.requests.lock().unwrap().push(method.to_owned());
        let fault = self.fault(method);
        match fault {
            Some(Fault::Status(status)) => return answer(stream, status, "", b"", 0),
            Some(Fault::Silence) => {
                thread::sleep(Duration::from_secs(2));
                return None;
            }
            _ => {}
        }
        let mut objects = self.objects.lock().unwrap();
        let (status, headers, sent) = match (method, objects.get(&path)) {
            ("PUT", Some(_)) if is_create => (412, String::new(), Vec::new()),
            ("PUT", _) => {
                objects.insert(path, body);
                (200, String::new(), Vec::new())
            }
            ("DELETE", _) => {
                objects.remove(&path);
                (204, String::new(), Vec::new())
            }
            (_, None) => (404, String::new(), Vec::new()),
            (_, Some(object)) => match range {
                None => (200, String::new(), object.clone()),
                Some((first, _)) if first >= object.len() => (416, String::new(), Vec::new()),
                Some((first, last)) => {
                    let end = object.len().min(last + 1);
                    let headers = format!("Content-Range: bytes {first}-{}/{}\r\n", end - 1, object.len());
                    (206, headers, object[first..end].to_vec())
                }
            },
        };
        drop(objects);
        let bytes = sent.len();
        match fault {
            Some(Fault::LostAnswer) => None,
            Some(Fault::DoneThen(status)) => answer(stream, status, "", b"", 0),
            Some(Fault::HalfBody) => {
                answer(stream, status, &headers, &sent[..bytes / 2], bytes)?;
                None
            }
            _ if method == "HEAD" => answer(stream, status, &headers, b"", bytes),
            _ => answer(stream, status, &headers, &sent, bytes),
        }
    }
}

fn answer(mut stream: &TcpStream, status: u16, headers: &str, body: &[u8], length: usize) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nETag: \"1\"\r\n\
         Last-Modified: Tue, 24 Nov 2026 12:00:00 GMT\r\n{headers}\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()
}

fn put(target: &CloudTarget, name: &str, content: &[u8], how: Put) -> codegraph_vector_base::Result<Written> {
    target.put(name, &content.to_vec(), how)
}

#[test]
fn an_answer_that_was_lost_is_no_conflict() {
    for fault in [Fault::LostAnswer, Fault::DoneThen(500), Fault::DoneThen(503), Fault::DoneThen(409)] {
        let (service, target) = Service::start();
        service.fail("PUT", &[fault]);
        assert_eq!(put(&target, "a/b", b"mine", Put::Create).unwrap(), Written::Created, "{fault:?}");
        assert_eq!(put(&target, "a/b", b"another's", Put::Create).unwrap(), Written::Existed, "{fault:?}");
        assert_eq!(target.get("a/b", 0..100).unwrap(), b"mine", "{fault:?}");
        assert!(service.faults.lock().unwrap().is_empty(), "{fault:?} came");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_stays_is_told() {
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Silence, Fault::Status(409)] {
        let (service, target) = Service::start();
        service.fail("PUT", &[fault]);
        assert_eq!(put(&target, "a", b"mine", Put::Create).unwrap(), Written::Created, "{fault:?}");
        assert_eq!(target.get("a", 0..100).unwrap(), b"mine", "{fault:?}");
        assert!(service.faults.lock().unwrap().is_empty(), "{fault:?} came");
    }
    for fault in [Fault::Status(500), Fault::Status(403), Fault::Status(409)] {
        let (service, target) = Service::start();
        service.fail("PUT", &[fault; 40]);
        let error = put(&target, "a", b"mine", Put::Create).unwrap_err().to_string();
        assert!(error.contains("s3://bucket/under/a") && !error.contains("hidden"), "{fault:?}: {error}");
        assert!(service.objects.lock().unwrap().is_empty());
        let tries = service.requests.lock().unwrap().iter().filter(|method| *method == "PUT").count();
        assert!(tries <= 20, "{fault:?} was tried {tries} times");
    }
}

#[test]
fn half_an_object_is_never_taken_for_the_whole() {
    let content: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
    for fault in [Fault::HalfBody, Fault::Status(500), Fault::Silence] {
        let (service, target) = Service::start();
        put(&target, "a", &content, Put::Content).unwrap();
        service.fail("GET", &[fault]);
        assert!(target.get("a", 0..200_000).unwrap() == content, "{fault:?}");
        assert!(target.get("a", 99_990..200_000).unwrap() == content[99_990..], "{fault:?}");
        service.fail("GET", &[fault; 40]);
        assert_eq!(target.get("a", 0..200_000).unwrap_err().kind(), ErrorKind::Io, "{fault:?}");
    }
    let (_service, target) = Service::start();
    assert_eq!(target.get("none", 0..10).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(target.info("none").unwrap(), None);
}

#[test]
fn of_many_who_create_a_name_one_wins() {
    let (_service, target) = Service::start();
    for round in 0..20 {
        let name = format!("name-{round}");
        let created: Vec<u8> = thread::scope(|scope| {
            let (target, name) = (&target, &name);
            let all: Vec<_> = (0..8u8)
                .map(|who| scope.spawn(move || put(target, name, &[who; 9], Put::Create).unwrap()))
                .collect();
            let ended = all.into_iter().map(|one| one.join().unwrap()).enumerate();
            ended.filter(|(_, how)| *how == Written::Created).map(|(who, _)| who as u8).collect()
        });
        assert_eq!(created.len(), 1, "{created:?} say that they won");
        assert_eq!(target.get(&name, 0..100).unwrap(), [created[0]; 9], "the winner's content is there");
    }
}
