//! `cgv search`: what it finds, and what it prints for people, for programs and for pipes.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::sample::{Folder, run};

const CONFIG: &str = "\
//! Settings.

/// Parses the configuration file.
pub fn parse_config(text: &str) -> Config {
    let first = text.lines().next();
    let parsed = Config::parse(first);
    parsed
}

pub struct Config {
    depth: usize,
}
";
const SERVER: &str = "\
class Server:
    \"\"\"Answers requests over the network.\"\"\"

    def listen_on_port(self, port):
        return self.socket.bind(port)


def stop_server(server):
    server.close()
";
const CART: &str = "\
// Computes what a shopping cart costs.
export function totalPrice(cart: Item[]): number {
    return cart.reduce((sum, item) => sum + item.price, 0);
}
";
const QUEUE: &str = "\
package queue

// Push appends an element to the queue.
func (q *Queue) Push(element int) {
\tq.items = append(q.items, element)
}

type Queue struct {
\titems []int
}
";

/// A repository of four languages, not indexed yet.
pub(crate) fn repository() -> Folder {
    let folder = Folder::new();
    folder.source("src/config.rs", CONFIG).source("src/net/server.py", SERVER);
    folder.source("web/cart.ts", CART).source("web/queue.go", QUEUE);
    folder
}

fn indexed() -> Folder {
    let folder = repository();
    folder.here(&["index", "."]);
    folder
}

/// Names of what a search finds, best first.
pub(crate) fn found(folder: &Folder, args: &[&str]) -> Vec<String> {
    let found = folder.json_here(&[&["search"], args].concat());
    let matches = found["matches"].as_array().expect("matches").iter();
    matches.map(|hit| hit["name"].as_str().expect("a name").to_owned()).collect()
}

fn paths(folder: &Folder, args: &[&str]) -> Vec<String> {
    let found = folder.json_here(&[&["search"], args].concat());
    let matches = found["matches"].as_array().expect("matches").iter();
    matches.map(|hit| hit["path"].as_str().expect("a path").to_owned()).collect()
}

#[test]
fn a_question_in_words_finds_code() {
    let folder = indexed();
    for (question, name) in [
        ("parse the configuration file", "parse_config"),
        ("listen on port", "listen_on_port"),
        ("what a shopping cart costs", "totalPrice"),
        ("append element to queue", "Push"),
    ] {
        assert_eq!(found(&folder, &[question])[0], name, "{question}");
    }
    // Several words need no quotes.
    let found = folder.json_here(&["search", "parse", "the", "configuration", "-k", "1"]);
    let hit = &found["matches"][0];
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);
    assert_eq!(
        [&hit["name"], &hit["kind"], &hit["language"], &hit["path"], &hit["start_line"], &hit["end_line"]],
        [
            &json!("parse_config"),
            &json!("function"),
            &json!("rust"),
            &json!("src/config.rs"),
            &json!(4),
            &json!(8)
        ]
    );
    assert_eq!((&hit["qualified_name"], &hit["changed"]), (&json!("parse_config"), &json!(false)));
    let score = hit["score"].as_f64().unwrap();
    assert!(score > 0.0 && score <= 1.0001, "{score}");
    let id = hit["node_id"].as_str().map_or_else(|| hit["node_id"].to_string(), str::to_owned);
    assert_eq!(folder.json_here(&["get", &id])["metadata"]["name"], json!("parse_config"));
    let lines = hit["snippet"].as_array().unwrap();
    let numbers: Vec<&Value> = lines.iter().map(|line| &line["line"]).collect();
    assert!(numbers.contains(&&json!(3)) && numbers.contains(&&json!(4)), "{lines:?}");
    let text = lines[0]["text"].as_str().unwrap();
    let matched = lines[0]["matched"][0].as_array().unwrap();
    let word = &text[matched[0].as_u64().unwrap() as usize..matched[1].as_u64().unwrap() as usize];
    assert_eq!((text, word), ("/// Parses the configuration file.", "Parses"));
}

#[test]
fn words_and_vectors_are_asked_together_or_apart() {
    let folder = indexed();
    // What is named exactly as asked comes first, in whichever case it is written.
    for (name, found_first) in [
        ("parse_config", "parse_config"),
        ("parse_config()", "parse_config"),
        ("Server.listen_on_port", "listen_on_port"),
        ("server::LISTEN_ON_PORT", "listen_on_port"),
        ("TOTALPRICE", "totalPrice"),
        ("Config", "Config"),
    ] {
        assert_eq!(found(&folder, &[name])[0].to_lowercase(), found_first.to_lowercase(), "{name}");
        let by_words = found(&folder, &["--text-only", name])[0].to_lowercase();
        assert_eq!(by_words, found_first.to_lowercase(), "{name}");
    }
    let question = "parse the configuration file";
    for flag in ["--vector-only", "--text-only"] {
        assert_eq!(found(&folder, &[question, flag])[0], "parse_config", "{flag}");
    }
    // Words find what has one of them; vectors find something always.
    let all = found(&folder, &[question, "-k", "100", "--vector-only"]).len();
    let by_words = found(&folder, &["socket", "--text-only"]);
    assert!(by_words.contains(&"listen_on_port".to_owned()) && by_words.len() < all, "{by_words:?}");
    assert_eq!(found(&folder, &["socket", "-k", "100"]).len(), all);
    assert!(found(&folder, &["socket", "--text-only", "--language", "go"]).is_empty());
    let ran = folder.here(&["search", "zebra", "--text-only"]);
    assert!(ran.out.is_empty() && ran.err.contains("no word of it is known"), "{}", ran.err);
    for args in [["a", "--text-only", "--vector-only"], ["--text-only", "--like", "src/config.rs:4"]] {
        assert_eq!(
            run(&mut folder.cgv_anywhere(&[&["search"], &args[..]].concat())).code,
            Some(2),
            "{args:?}"
        );
    }
}

#[test]
fn people_read_a_place_a_name_and_lines() {
    let folder = indexed();
    let ran = folder.here(&["search", "parse the configuration file", "-k", "1"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("src/config.rs:4  function parse_config  "), "{}", ran.out);
    assert_eq!(lines[1], "    3  /// Parses the configuration file.");
    assert_eq!(lines[2], "    4  pub fn parse_config(text: &str) -> Config {");
    assert!(lines.len() <= 5 && ran.err.is_empty(), "{}{}", ran.out, ran.err);
    let plain = folder.here(&["search", "parse the configuration file", "-k", "1", "--no-snippet"]);
    assert_eq!(plain.out, format!("{}\n", lines[0]));
    // Paths lead there from where one stands.
    let below = folder.below("src/net", &["search", "parse the configuration file", "-k", "1"]);
    assert!(below.out.starts_with("../config.rs:4  "), "{}", below.out);
    let elsewhere = Folder::new();
    let store = folder.path().join(".cgv");
    let ran = elsewhere.here(&["search", "parse configuration", "--store", store.to_str().unwrap()]);
    let path = ran.out.split(":4  ").next().unwrap();
    assert!(elsewhere.path().join(path).is_file(), "{path}");
}

#[test]
fn a_search_is_narrowed() {
    let folder = indexed();
    let question = "queue server configuration cart";
    assert!(paths(&folder, &[question, "--language", "go"]).iter().all(|path| path == "web/queue.go"));
    let kinds = folder.json_here(&["search", question, "--kind", "struct,class"]);
    let kinds: Vec<&str> =
        kinds["matches"].as_array().unwrap().iter().map(|hit| hit["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"struct") && kinds.contains(&"class") && kinds.len() == 3, "{kinds:?}");
    for prefix in ["src", "src/", "./src", "src/../src", "sr"] {
        let paths = paths(&folder, &[question, "--path", prefix]);
        assert!(
            !paths.is_empty() && paths.iter().all(|path| path.starts_with("src/")),
            "{prefix}: {paths:?}"
        );
    }
    assert!(paths(&folder, &[question, "--path", "web/cart.ts"]).iter().all(|path| path == "web/cart.ts"));
    assert_eq!(found(&folder, &[question, "--path", "."]).len(), found(&folder, &[question]).len());
    let from_below = |prefix: &str| {
        let ran = folder.below("src", &["search", question, "--path", prefix, "--json"]);
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        let paths = found["matches"].as_array().unwrap().iter();
        paths.map(|hit| hit["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(from_below("net").iter().all(|path| path == "src/net/server.py"));
    assert!(from_below(".").iter().all(|path| path.starts_with("src/")));
    assert!(from_below("web").iter().all(|path| path.starts_with("web/")), "from the root");
    assert!(from_below("../web").iter().all(|path| path.starts_with("web/")));
    assert!(folder.fails_here(2, &["search", question, "--path", ".."]).contains("leads out of"));
    assert_eq!(found(&folder, &[question, "-k", "2"]).len(), 2);
    for (asked, name) in [("golang", "go"), ("TS", "typescript"), ("py", "python"), ("rs", "rust")] {
        let paths = |language| paths(&folder, &[question, "--language", language]);
        assert!(!paths(name).is_empty() && paths(asked) == paths(name), "{asked}");
    }
    for (args, told) in [
        (
            ["--language", "cobol"],
            "no node has the language cobol; the store has go, python, rust, typescript",
        ),
        (["--language", "C++"], "no node has the language C++; the store has"),
        (["--kind", "gadget"], "no node has the kind gadget; the store has "),
        (["--path", "nowhere"], "try with fewer of them"),
    ] {
        let ran = folder.here(&[&["search", question], &args[..]].concat());
        assert!(ran.out.is_empty() && ran.err.contains(told), "{}", ran.err);
    }
}

#[test]
fn it_is_said_if_nothing_has_a_word_of_the_question() {
    let folder = indexed();
    let told = "has a word of the question";
    let ran = folder.here(&["search", "zebra"]);
    assert!(ran.out.is_empty() || ran.err.contains(told), "{}{}", ran.out, ran.err);
    // A word may be in a name alone, or in the lines alone.
    for question in ["config zebra", "reduce zebra", "network", "go"] {
        let ran = folder.here(&["search", question]);
        assert!(!ran.err.contains(told), "{question}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn what_is_like_a_place_is_found() {
    let folder = indexed();
    folder.source("src/settings.rs", &CONFIG.replace("parse_config", "parse_settings"));
    folder.here(&["index"]);
    for place in ["src/config.rs:4", "src/config.rs:6:5", "./src/config.rs:8"] {
        let names = found(&folder, &["--like", place]);
        assert_eq!(names[0], "parse_settings", "{place}");
        assert!(!names.contains(&"parse_config".to_owned()), "{place}: {names:?}");
    }
    let ran = folder.below("src", &["search", "--like", "config.rs:5", "-k", "1", "--language", "rust"]);
    assert!(ran.out.starts_with("settings.rs:4  function parse_settings"), "{}", ran.out);
    folder.source("-dash.rs", CONFIG);
    folder.here(&["index"]);
    assert_eq!(found(&folder, &["--like", "-dash.rs:4"])[0], "parse_config");
    assert!(folder.fails_here(2, &["search", "a", "-k", "-1"]).contains("-1 is not in 1..="));
    let said = folder.fails_here(1, &["search", "--like", "src/none.rs:5"]);
    assert!(said.contains("nothing is indexed at src/none.rs:5"), "{said}");
    for args in [
        &["search"][..],
        &["search", ""],
        &["search", " ?! "],
        &["search", "a", "--like", "src/config.rs:4"],
        &["search", "--like", "src/config.rs"],
        &["search", "--like", "src/config.rs:0"],
        &["search", "a", "-k", "0"],
        &["search", "a", "--color", "pink"],
    ] {
        assert_eq!(run(&mut folder.cgv_anywhere(args)).code, Some(2), "{args:?}");
    }
}

#[test]
fn what_changed_since_is_said_and_not_shown() {
    let folder = indexed();
    folder.source("src/config.rs", &format!("\n\n{CONFIG}"));
    let ran = folder.here(&["search", "parse the configuration file", "-k", "1"]);
    assert!(ran.out.contains("(changed since it was indexed)") && !ran.out.contains("///"), "{}", ran.out);
    assert!(ran.err.contains("`cgv index` reads them again"), "{}", ran.err);
    std::fs::remove_file(folder.path().join("src/config.rs")).unwrap();
    let ran = folder.here(&["search", "parse the configuration file", "-k", "1"]);
    assert!(ran.out.contains("(gone since it was indexed)"), "{}", ran.out);
    let hit = &folder.json_here(&["search", "parse the configuration file"])["matches"][0];
    assert_eq!((&hit["changed"], &hit["snippet"]), (&json!(true), &Value::Null));
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let folder = indexed();
    let coloured = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command: Command = folder.cgv_anywhere(&[&["search", "parse configuration"], args].concat());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        let ran = run(command.envs(variables.iter().copied()));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out.contains('\x1b')
    };
    assert!(!coloured(&[], &[]), "this is a pipe");
    assert!(coloured(&["--color", "always"], &[]) && coloured(&["--color=always"], &[("NO_COLOR", "1")]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(
        !coloured(&[], &[("NO_COLOR", "1")]) && !coloured(&["--color=never"], &[("CLICOLOR_FORCE", "1")])
    );
    assert!(!coloured(&["--json", "--color=always"], &[]));
    let ran = folder.here(&["search", "parse configuration", "-k", "1", "--color=always"]);
    assert!(ran.out.contains("\x1b[1m\x1b[31mconfiguration\x1b[0m"), "{:?}", ran.out);
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let folder = indexed();
    for number in 0..300 {
        folder.source(&format!("many/f{number}.rs"), &format!("fn parse_number_{number}() {{}}\n"));
    }
    folder.here(&["index"]);
    for args in [&["search", "parse number", "-k", "600"][..], &["man"], &["completions", "zsh"]] {
        let mut child =
            folder.cgv_anywhere(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(0) && !said.contains("error"), "{args:?}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_that_code_holds_commands_the_terminal() {
    let folder = Folder::new();
    let source = "// \x1b]0;owned\x07 steep the tea \u{9b}2J\nfn steep_tea() { \"\x1b[2J\u{202e}\"; }\n";
    folder.source("tea\x1b[31m\n.rs", source);
    std::fs::write(folder.path().join("bad\x1b[5m.rs"), b"\xff\xfe").unwrap();
    for args in [
        &["index", "."][..],
        &["search", "steep the tea"],
        &["search", "steep the tea", "--color=always"],
        &["search", "tea", "--language", "\x1b[2J"],
    ] {
        let ran = folder.here(args);
        let ours = |text: &str| {
            let plain = text.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "");
            (31..=35).fold(plain, |text, colour| text.replace(&format!("\x1b[{colour}m"), ""))
        };
        let text = format!("{}{}", ran.out, ran.err);
        let left = if args.contains(&"--color=always") { ours(&text) } else { text };
        let active = left.chars().find(|char| char.is_control() && *char != '\n' || *char == '\u{202e}');
        assert_eq!(active, None, "{args:?}: {left:?}");
        let shown = args[0] == "index" || args.contains(&"--language") || left.contains("tea␛[31m␊.rs");
        assert!(shown, "{left:?}");
    }
}

#[test]
fn without_a_store_it_is_said_how_to_make_one() {
    let folder = repository();
    let said = folder.fails_here(1, &["search", "anything"]);
    assert!(said.contains("there is no store: no .cgv here or above; `cgv index PATH` makes one"), "{said}");
    assert!(folder.fails(1, &["search", "anything"]).contains("there is no store here"));
    assert!(!folder.path().join(".cgv").exists() && !folder.store().exists());
}
