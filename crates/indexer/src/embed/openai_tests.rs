//! The client against a server that does what servers do, good and bad.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use codegraph_vector::{Error, ErrorKind, Result};
use codegraph_vector_base::Random;
use serde_json::{Value, json};

use super::retry::{Policy, Sleep};
use super::stub::{Reply, Request, Stub, good_answer, vector_of};
use super::{Limits, OpenAi, Surroundings};
use crate::embed::{Embedder, NodeText};
use crate::language::Language;
use crate::node::NodeKind;

/// Takes note of how long it was to sleep.
#[derive(Debug, Default)]
struct Slept(Mutex<Vec<Duration>>);

impl Sleep for Slept {
    fn sleep(&self, time: Duration) {
        self.0.lock().unwrap().push(time);
    }
}

/// Chance that is always the least.
#[derive(Debug)]
struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0);
        Ok(())
    }
}

/// A client of `stub` whose environment has `variables`; and what it slept.
fn open(
    stub: &Stub,
    dimension: Option<usize>,
    limits: Limits,
    variables: &[(&str, &str)],
) -> (Result<OpenAi>, Arc<Slept>) {
    let slept = Arc::new(Slept::default());
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let surroundings = Surroundings { variable: &variable, random: Arc::new(Zeros), sleep: slept.clone() };
    (OpenAi::with(&stub.url(), "small", dimension, limits, surroundings), slept)
}

/// A client that knows the model's three dimensions, so that its first request is that of the test.
fn client(stub: &Stub) -> (OpenAi, Arc<Slept>) {
    let (client, slept) = open(stub, Some(3), Limits::default(), &[]);
    (client.unwrap(), slept)
}

/// What becomes of one text if the server replies like this, always.
fn failure(reply: Reply) -> Error {
    let stub = Stub::start(move |_, _| reply.clone());
    let error = client(&stub).0.embed_query("text").unwrap_err();
    assert_eq!(stub.requests().len(), 1, "{error}");
    error
}

fn check_all(client: &OpenAi, texts: &[&str]) {
    let expected: Vec<Vec<f32>> = texts.iter().map(|text| vector_of(text).to_vec()).collect();
    assert_eq!(client.embed_texts(texts).unwrap(), expected);
}

fn server_error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"message": message, "type": "some_error", "code": null}}))
}

#[test]
fn the_dimension_is_asked_for_once_and_vectors_come_in_order() {
    let stub = Stub::start(|_, request| Reply::good(request));
    let (client, slept) = open(&stub, None, Limits::default(), &[]);
    let client = client.unwrap();
    assert_eq!(client.dimension(), 3);
    assert_eq!(client.id(), OpenAi::id_of("small"));
    check_all(&client, &["one", "second", "der dritte, ä"]);
    assert_eq!(client.embed_query("what?").unwrap(), vector_of("what?"));

    let requests = stub.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.line == "POST /v1/embeddings HTTP/1.1"));
    assert_eq!(requests[0].texts().len(), 1);
    let asked =
        json!({"model": "small", "input": ["one", "second", "der dritte, ä"], "encoding_format": "float"});
    assert_eq!(requests[1].json, asked);
    assert!(slept.0.lock().unwrap().is_empty());
}

#[test]
fn nodes_are_sent_as_text_that_is_bounded() {
    let stub = Stub::start(|_, request| Reply::good(request));
    let (client, _) = client(&stub);
    let node = NodeText {
        language: Language::Rust,
        kind: NodeKind::Function,
        name: "open",
        qualified_name: "Store::open",
        docs: "Opens a store.".to_owned(),
        signature: "pub fn open()",
        body: "ä".repeat(100_000),
    };
    let vectors = client.embed_nodes(std::slice::from_ref(&node)).unwrap();
    let requests = stub.requests();
    let [text] = requests[0].texts()[..] else { panic!("one text") };
    assert!(text.contains("Opens a store.") && text.contains("open"), "{text}");
    assert!(text.chars().count() <= client.limits.text_chars);
    assert_eq!(vectors, [vector_of(text)]);
    assert!(client.embed_query(" \n").is_err());
    client.embed_query(&"q".repeat(50_000)).unwrap();
    assert_eq!(stub.requests()[1].texts()[0].len(), client.limits.text_chars);
}

#[test]
fn one_client_serves_many_threads() {
    let stub = Stub::start(|_, request| Reply::good(request));
    let (client, _) = client(&stub);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                let texts: Vec<String> = (0..5).map(|text| format!("text {text} of {thread}")).collect();
                check_all(client, &texts.iter().map(String::as_str).collect::<Vec<_>>());
            });
        }
    });
    assert_eq!(stub.requests().len(), 8);
}

#[test]
fn calls_are_bounded_in_texts_and_characters() {
    let stub = Stub::start(|_, request| Reply::good(request));
    let limits = Limits { batch: 3, batch_chars: 10, ..Limits::default() };
    let client = open(&stub, Some(3), limits, &[]).0.unwrap();
    check_all(&client, &["a", "b", "c", "d", "eight ch", "far more than ten characters", "e"]);
    let sizes: Vec<usize> = stub.requests().iter().map(|request| request.texts().len()).collect();
    assert_eq!(sizes, [3, 2, 1, 1]);
    assert_eq!(client.batch(), 3);
}

#[test]
fn answers_out_of_order_without_numbers_or_in_chunks_are_understood() {
    let stub = Stub::start(|before, request| {
        let mut answer = good_answer(request);
        let data = answer["data"].as_array_mut().unwrap();
        match before {
            0 => data.reverse(),
            _ => data.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("index"))),
        }
        Reply::Chunked(7, answer.to_string().into_bytes())
    });
    let (client, _) = client(&stub);
    check_all(&client, &["one", "second", "the third"]);
    check_all(&client, &["one", "second", "the third"]);
    assert_eq!(stub.requests().len(), 2);
}

#[test]
fn what_may_pass_is_tried_again() {
    let failures = [
        server_error(500, "out of memory"),
        Reply::Whole(503, "retry-after: 7\r\n", Vec::new()),
        Reply::BrokenOff,
        Reply::HangUp,
    ];
    let stub = Stub::start(move |before, request| {
        failures.get(before).cloned().unwrap_or_else(|| Reply::good(request))
    });
    let (client, slept) = client(&stub);
    check_all(&client, &["one", "second"]);
    assert_eq!(stub.requests().len(), 5);
    let slept = slept.0.lock().unwrap().clone();
    assert_eq!(slept, [250, 7000, 1000, 2000].map(Duration::from_millis));
}

#[test]
fn attempts_end_and_the_last_failure_is_told() {
    let stub = Stub::start(|_, _| Reply::Whole(429, "retry-after: 86400\r\n", b"slow down".to_vec()));
    let (client, slept) = client(&stub);
    let error = client.embed_query("text").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("429: slow down (attempt 5"), "{error}");
    assert_eq!(stub.requests().len(), 5);
    assert_eq!(*slept.0.lock().unwrap(), [Duration::from_secs(60); 4]);
}

#[test]
fn waits_double_up_to_a_bound_and_half_of_them_is_chance() {
    #[derive(Debug)]
    struct Ones;
    impl Random for Ones {
        fn fill(&self, bytes: &mut [u8]) -> Result<()> {
            bytes.fill(255);
            Ok(())
        }
    }
    for (random, most) in [(Arc::new(Zeros) as Arc<dyn Random>, false), (Arc::new(Ones), true)] {
        let slept = Arc::new(Slept::default());
        let policy = Policy { attempts: 10, ..Policy::default() };
        let retry = super::Retry { policy, random, sleep: slept.clone() };
        let answer: Result<(), _> =
            retry.run(|| Err(super::Failure::Passing { what: "no".to_owned(), retry_after: None }));
        assert!(matches!(answer, Err(super::Failure::Final(_))));
        let waits = [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000];
        let waits = waits.map(|ms| Duration::from_millis(if most { ms } else { ms / 2 }));
        assert_eq!(*slept.0.lock().unwrap(), waits);
    }
}

#[test]
fn a_server_that_stalls_is_given_up() {
    for reply in [Reply::Stall, Reply::StallMidBody] {
        let stub = Stub::start(move |_, _| reply.clone());
        let retry = Policy { attempts: 2, ..Policy::default() };
        let limits = Limits { call_timeout: Duration::from_millis(200), retry, ..Limits::default() };
        let (client, slept) = open(&stub, Some(3), limits, &[]);
        let error = client.unwrap().embed_query("text").unwrap_err();
        assert!(error.to_string().contains("timeout"), "{error}");
        assert_eq!((stub.requests().len(), slept.0.lock().unwrap().len()), (2, 1));
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let stub = Stub::start(|_, request| Reply::good(request));
    let url = stub.url();
    let (client, slept) = client(&stub);
    drop(stub);
    let error = client.embed_query("text").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains(&url), "{error}");
    assert_eq!(slept.0.lock().unwrap().len(), 4);
}

#[test]
fn refusals_are_final_and_tell_what_to_do() {
    let error = failure(server_error(401, "no key"));
    assert!(error.to_string().contains("401: no key") && error.to_string().contains("CGV_OPENAI_API_KEY"));
    let error =
        failure(Reply::json(404, &json!({"error": "model \"small\" not found, try pulling it first"})));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("try pulling it") && error.to_string().contains("that model"),
        "{error}"
    );
    let error =
        failure(Reply::json(400, &json!({"detail": [{"loc": ["body"], "msg": "bad\u{1b}[31m\nthing"}]})));
    assert!(error.to_string().ends_with("400: bad [31m thing"), "{error}");
    let error = failure(Reply::Whole(302, "location: https://elsewhere/v1\r\n", Vec::new()));
    assert!(error.to_string().contains("https://elsewhere/v1"), "{error}");
    let error = failure(Reply::Whole(403, "", b"<!DOCTYPE html><html>...".to_vec()));
    assert!(error.to_string().contains("403: (an HTML page)"), "{error}");
    let error = failure(Reply::Whole(418, "", "tea ".repeat(1000).into_bytes()));
    assert!(error.to_string().chars().count() < 400 && error.to_string().ends_with('…'), "{error}");
}

/// An answer for one text whose `data` is this.
fn data(data: Value) -> Reply {
    Reply::json(200, &json!({ "data": data }))
}

#[test]
fn lies_are_caught() {
    let entry = json!({"index": 0, "embedding": [1, 2, 3]});
    let vector = |vector: Value| data(json!([{"index": 0, "embedding": vector}]));
    let cases = [
        (data(json!([])), "0 vectors for 1 texts"),
        (data(json!([entry, entry])), "2 vectors for 1 texts"),
        (data(json!([{"index": 1, "embedding": [1, 2, 3]}])), "not numbered from 0"),
        (vector(json!([1, 2])), "2 dimensions, not of 3"),
        (vector(json!([1, 2, 3, 4])), "4 dimensions, not of 3"),
        (vector(json!([])), "0 dimensions"),
        (vector(json!([1, null, 3])), "no finite number"),
        (vector(json!([1, 1e300, 3])), "no finite number"),
        (vector(json!([0, 0.0, 0])), "zero"),
        (vector(json!([1e30, 1, 1])), "too great"),
        (vector(json!("AAAAAAAAAAA=")), "not what the embeddings API says"),
        (Reply::json(200, &json!({"embeddings": [[1, 2, 3]]})), "missing field `data`"),
        (Reply::json(200, &json!({"error": {"message": "no such model"}})), "no such model"),
        (Reply::Whole(200, "", b"<html>Welcome</html>".to_vec()), "an HTML page"),
        (Reply::Whole(200, "", b"{\"data\":[{\"index\":0,\"embedding\":[NaN,1,2]}]}".to_vec()), "not what"),
        (Reply::Whole(200, "", Vec::new()), "(nothing)"),
        (Reply::Whole(200, "", vec![b'['; 100_000]), "not what"),
        (Reply::Whole(204, "", Vec::new()), "(nothing)"),
    ];
    for (reply, expected) in cases {
        let error = failure(reply.clone());
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(expected), "{reply:?}: {error}");
    }
    let stub =
        Stub::start(|_, _| data(json!([{"embedding": [1, 2, 3]}, {"index": 1, "embedding": [1, 2, 3]}])));
    assert!(client(&stub).0.embed_texts(&["a", "b"]).unwrap_err().to_string().contains("not numbered"));
    let stub = Stub::start(|_, _| data(json!([{"embedding": [1, 2]}, {"embedding": [1, 2, 3]}])));
    assert!(client(&stub).0.embed_texts(&["a", "b"]).is_err());
    let stub = Stub::start(|_, _| data(json!([{"embedding": []}])));
    let error = open(&stub, None, Limits::default(), &[]).0.unwrap_err();
    assert!(error.to_string().contains("0 dimensions"), "{error}");
}

#[test]
fn an_endless_answer_is_cut_off() {
    for chunked in [false, true] {
        let stub = Stub::start(move |_, request| {
            let mut body = good_answer(request).to_string().into_bytes();
            body.resize(3 << 20, b' ');
            if chunked { Reply::Chunked(64 << 10, body) } else { Reply::Whole(200, "", body) }
        });
        let limits = Limits { max_body_bytes: 1 << 20, ..Limits::default() };
        let client = open(&stub, Some(3), limits, &[]).0.unwrap();
        let error = client.embed_query("text").unwrap_err();
        assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
        assert_eq!(stub.requests().len(), 1);
    }
}

/// A server that takes so many texts at once, each of so many bytes, and says no in one of the known ways.
fn narrow(
    texts: usize,
    bytes: usize,
    way: usize,
) -> impl Fn(usize, &Request) -> Reply + Send + Sync + 'static {
    move |_, request| {
        let sent = request.texts();
        if sent.len() <= texts && sent.iter().all(|text| text.len() <= bytes) {
            return Reply::good(request);
        }
        match way {
            0 => Reply::json(413, &json!({"error": "batch size 4 > maximum allowed batch size 3"})),
            1 => server_error(400, "This model's maximum context length is 512 tokens, you requested 600"),
            2 => server_error(500, "input is too large to process. increase the physical batch size"),
            3 => {
                server_error(429, "Request too large for small on tokens per min (TPM): Limit 5, Requested 6")
            }
            4 => Reply::json(422, &json!({"message": "`inputs` must have less than 512 tokens. Given: 600"})),
            _ => Reply::json(400, &json!({"error": "the input length exceeds the context length"})),
        }
    }
}

#[test]
fn calls_that_are_too_large_are_halved() {
    for way in 0..6 {
        let stub = Stub::start(narrow(2, 100, way));
        let (client, slept) = client(&stub);
        check_all(&client, &["a", "b", "c", "d", "e"]);
        let sizes: Vec<usize> = stub.requests().iter().map(|request| request.texts().len()).collect();
        assert_eq!(sizes, [5, 2, 3, 1, 2], "way {way}");
        assert!(slept.0.lock().unwrap().is_empty(), "waiting makes nothing smaller");
    }
}

#[test]
fn a_text_that_is_too_long_is_cut_the_same_way_whatever_is_beside_it() {
    let stub = Stub::start(narrow(8, 100, 1));
    let (client, _) = client(&stub);
    let long = "ü".repeat(150);
    let vectors = client.embed_texts(&["a", &long, "b"]).unwrap();
    let cut = vector_of(&"ü".repeat(37)).to_vec();
    assert_eq!(vectors, [vector_of("a").to_vec(), cut.clone(), vector_of("b").to_vec()]);
    assert_eq!(client.embed_texts(&[&long]).unwrap(), [cut]);

    let before = stub.requests().len();
    let error = client.embed_texts(&[&"x".repeat(1000)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("even 125 characters are too many"), "{error}");
    assert_eq!(stub.requests().len(), before + 4);
}

#[test]
fn the_key_is_sent_if_there_is_one_and_our_own_goes_first() {
    let common = ("OPENAI_API_KEY", "common-secret");
    let cases = [
        (vec![], None),
        (vec![("OPENAI_API_KEY", "")], None),
        (vec![("OTHER", "x")], None),
        (vec![common], Some("Bearer common-secret")),
        (vec![common, ("CGV_OPENAI_API_KEY", " own-secret\n")], Some("Bearer own-secret")),
        (vec![common, ("CGV_OPENAI_API_KEY", " ")], Some("Bearer common-secret")),
    ];
    for (variables, expected) in cases {
        let stub = Stub::start(|_, request| Reply::good(request));
        let client = open(&stub, None, Limits::default(), &variables).0.unwrap();
        assert_eq!(stub.requests()[0].header("authorization"), expected);
        assert!(!format!("{client:?}").contains("secret"), "{client:?}");
    }
}

#[test]
fn everybody_s_key_goes_to_openai_and_this_machine_only() {
    let key = |url: &str, name: &'static str| {
        let variable = move |asked: &str| (asked == name).then(|| "secret".to_owned());
        super::key::Key::find(&url.parse().unwrap(), variable).unwrap().is_some()
    };
    for url in
        ["https://api.openai.com/v1", "http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1"]
    {
        assert!(key(url, "OPENAI_API_KEY") && key(url, "CGV_OPENAI_API_KEY"), "{url}");
    }
    for url in ["http://api.openai.com/v1", "https://notopenai.com/v1", "https://openai.com.example/v1"] {
        assert!(!key(url, "OPENAI_API_KEY") && key(url, "CGV_OPENAI_API_KEY"), "{url}");
    }
}

#[test]
fn an_endpoint_that_only_a_store_names_is_asked_only_if_somebody_vouches_for_it() {
    let check = |url: &str, vouched: Option<&str>| {
        super::check_recorded(url, |name| vouched.filter(|_| name == "CGV_OPENAI_URL").map(str::to_owned))
    };
    for url in ["https://api.openai.com/v1", "http://localhost:11434/v1", "http://[::1]:1"] {
        check(url, None).unwrap();
    }
    for url in ["https://collector.example/v1", "http://api.openai.com/v1", "http://192.168.1.5:11434/v1"] {
        for vouched in [None, Some(""), Some("https://collector.example"), Some("http://localhost:11434/v1")]
        {
            let error = check(url, vouched).unwrap_err();
            assert!(error.to_string().contains(&format!("set CGV_OPENAI_URL={url}")), "{error}");
        }
        check(url, Some(url)).unwrap();
        check(url, Some(&format!("{url}/"))).unwrap();
    }
}

#[test]
fn the_key_is_in_no_message() {
    let key = [("CGV_OPENAI_API_KEY", "sk-hunter2")];
    let replies = [
        server_error(401, &format!("{}wrong key: sk-hunter2", "x".repeat(280))),
        server_error(400, "sk-hunter2 is bad"),
        server_error(503, "sk-hunter2 is busy"),
        server_error(413, "sk-hunter2 is long"),
        Reply::Whole(404, "", b"no sk-hunter2 here".to_vec()),
        Reply::Whole(307, "location: https://x/sk-hunter2\r\n", Vec::new()),
        Reply::Whole(200, "", b"{\"data\": \"sk-hunter2\"}".to_vec()),
        Reply::Whole(200, "", b"Bearer sk-hunter2".to_vec()),
        Reply::BrokenOff,
    ];
    for reply in replies {
        let stub = Stub::start(move |_, _| reply.clone());
        let (client, _) = open(&stub, Some(3), Limits::default(), &key);
        let error = client.unwrap().embed_texts(&["text"]).unwrap_err();
        assert_eq!(stub.requests()[0].header("authorization"), Some("Bearer sk-hunter2"));
        assert!(!format!("{error:?} {error}").contains("sk-hunt"), "{error}");
    }
    for bad in ["sk-hunter2\nx: y", "sk hunter2", "sk-hunter2\u{7f}"] {
        let stub = Stub::start(|_, request| Reply::good(request));
        let error = open(&stub, Some(3), Limits::default(), &[("OPENAI_API_KEY", bad)]).0.unwrap_err();
        assert!(error.to_string().contains("OPENAI_API_KEY"), "{error}");
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
    }
}
