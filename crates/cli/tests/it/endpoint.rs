//! An embedder behind an endpoint: indexing and searching with it, and when it fails on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use codegraph_vector::{OpenOptions, PersistentVectorStore};
use serde_json::{Value, json};

use crate::sample::{Folder, run};
use crate::search::found;

/// Its vectors count the letters of a text; `calls` is how many more calls it answers, before it wants a key. If there
/// is a store by then, it says so only when something is in it.
struct Endpoint {
    embedder: String,
    calls: Arc<AtomicUsize>,
}

impl Endpoint {
    fn new(calls: usize, store: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let embedder = format!("openai:http://{}/v1,letters", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicUsize::new(calls));
        let (left, store) = (Arc::clone(&calls), store.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (left, store) = (Arc::clone(&left), store.clone());
                // A client that hangs up is none of its business.
                thread::spawn(move || drop(answer(BufReader::new(stream), &left, &store)));
            }
        });
        Self { embedder, calls }
    }
}

fn answer(mut stream: BufReader<TcpStream>, left: &AtomicUsize, store: &Path) -> std::io::Result<()> {
    let (mut line, mut bytes) = (String::new(), 0);
    while stream.read_line(&mut line)? > 2 {
        let lower = line.to_lowercase();
        bytes = lower.strip_prefix("content-length:").map_or(bytes, |number| number.trim().parse().unwrap());
        line.clear();
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body)?;
    let asked: Value = serde_json::from_slice(&body)?;
    let vector = |text: &Value| {
        let text = text.as_str().unwrap().to_lowercase();
        ('a'..='z').map(|letter| 0.1 + text.matches(letter).count() as f32).collect::<Vec<_>>()
    };
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    let (status, said) = match taken {
        Ok(_) => {
            let texts = asked["input"].as_array().unwrap().iter().enumerate();
            let data: Vec<_> =
                texts.map(|(at, text)| json!({"index": at, "embedding": vector(text)})).collect();
            ("200 OK", json!({ "data": data }))
        }
        Err(_) => {
            while store.exists() && !holds_something(store) {
                thread::sleep(Duration::from_millis(10));
            }
            ("401 Unauthorized", json!({"error": {"message": "who is it?"}}))
        }
    };
    let said = said.to_string();
    let length = said.len();
    write!(
        stream.get_mut(),
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{said}"
    )
}

fn holds_something(store: &Path) -> bool {
    let options = OpenOptions { read_only: true, must_exist: true, ..OpenOptions::default() };
    PersistentVectorStore::open(store, options)
        .and_then(|store| store.stats())
        .is_ok_and(|stats| stats.active_vectors > 0)
}

#[test]
fn an_endpoint_that_fails_on_the_way_is_gone_on_with() {
    let folder = Folder::new();
    for number in 0..300 {
        folder.source(&format!("f{number}.rs"), &format!("fn pour_{number}() {{}}\n"));
    }
    let endpoint = Endpoint::new(0, &folder.path().join(".cgv"));
    let said = folder.fails_here(1, &["index", ".", "--embedder", &endpoint.embedder]);
    assert!(said.contains("who is it?") && said.contains("CGV_OPENAI_API_KEY"), "{said}");
    assert!(!folder.path().join(".cgv").exists(), "no store of vectors that nobody can make");

    endpoint.calls.store(12, Ordering::SeqCst);
    let ran = run(&mut folder.cgv_anywhere(&["index", ".", "--embedder", &endpoint.embedder]));
    let told = ran.err.lines().next().and_then(|line| line.strip_prefix("note: "));
    let told = told.unwrap_or_else(|| panic!("{}", ran.err));
    assert!(ran.code == Some(1) && told.ends_with("run it again to go on from there"), "{}", ran.err);
    let stored = folder.json_here(&["stats"])["active_vectors"].as_u64().unwrap();
    assert!(told.contains(&format!(" {stored} nodes ")), "{stored}: {}", ran.err);
    assert!(stored > 0 && stored < 600, "{stored}");

    // It needs no embedder to go on: the store knows its own.
    endpoint.calls.store(usize::MAX, Ordering::SeqCst);
    let summary = folder.json_here(&["index"]);
    assert_eq!((&summary["nodes"], &summary["nodes_embedded"]), (&json!(600), &json!(600 - stored)));
    assert!(!found(&folder, &["pour"]).is_empty());
    // Words need no embedder at all.
    endpoint.calls.store(0, Ordering::SeqCst);
    assert_eq!(found(&folder, &["--text-only", "pour_17"])[0], "pour_17");
    assert!(folder.fails_here(1, &["search", "pour_17"]).contains("searching by the embedder"));
    let stats = folder.json_here(&["stats"]);
    assert_eq!((&stats["dimension"], &stats["embedder"]["version"]), (&json!(26), &json!("letters")));
}
