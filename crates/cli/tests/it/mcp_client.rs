//! A client of `cgv mcp` that speaks JSON-RPC by hand, and a small project to serve.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use crate::sample::Folder;

/// A server, and what it said.
pub(crate) struct Client {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    last_id: u64,
    /// Notifications so far.
    pub(crate) notes: Vec<Value>,
}

impl Client {
    /// Starts a server on the project in `code`, and shakes hands.
    pub(crate) fn new(folder: &Folder) -> Self {
        Self::start(&mut folder.cgv_anywhere(&["mcp", "--root", "code"]))
    }

    /// Starts a server, and shakes hands.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut client = Self::silent(command);
        let hello = client.ask(
            "initialize",
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}),
        );
        assert_eq!(hello["result"]["protocolVersion"], "2025-06-18", "{hello}");
        client.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        client
    }

    /// Starts a server that was not talked to yet.
    pub(crate) fn silent(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cgv starts");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("a pipe")));
        Self { child, input, output, last_id: 0, notes: Vec::new() }
    }

    /// Writes a line.
    pub(crate) fn write(&mut self, line: &str) {
        let input = self.input.as_mut().expect("open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the server reads");
    }

    /// The next line that it says.
    pub(crate) fn read(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).expect("the server speaks UTF-8") > 0, "it fell silent");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    }

    /// Sends a request without waiting, and gives its id.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.write(&request.to_string());
        self.last_id
    }

    /// Reads up to the next answer; notifications are put aside.
    pub(crate) fn answer(&mut self) -> Value {
        loop {
            let message = self.read();
            if message.get("method").is_none() {
                return message;
            }
            self.notes.push(message);
        }
    }

    /// Sends a request, and gives what is answered, which may be an error.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let answer = self.answer();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Calls a tool, and gives its result, which may say that it is an error.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    /// Calls a tool that has to do what it is asked, and gives its structured result.
    pub(crate) fn get(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], false, "{result}");
        assert!(!text(&result).is_empty(), "{result}");
        result["structuredContent"].clone()
    }

    /// Calls a tool that has to fail, and gives what it says.
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        text(&result)
    }

    /// The names of what a question finds.
    pub(crate) fn names(&mut self, question: &str) -> Vec<String> {
        let found = self.get("search_code", json!({"query": question, "limit": 50}));
        let matches = found["matches"].as_array().expect("matches").iter();
        matches.map(|found| found["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Says nothing more, and waits for the end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        self.child.wait().expect("it ends")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Whoever wants to see it end has done so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text of a result.
pub(crate) fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().expect("text").to_owned()
}

/// A folder with a project in `code`.
pub(crate) fn project() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("code/src")).expect("made");
    std::fs::create_dir_all(folder.path().join("code/tools")).expect("made");
    folder
        .file(
            "code/src/retry.rs",
            "/// Waits longer after each failure.\npub fn retry_with_backoff(attempts: u32) -> bool {\n    \
             let mut delay_ms = 10;\n    for _ in 0..attempts {\n        delay_ms *= 2;\n    }\n    delay_ms > 0\n}\n",
        )
        .file(
            "code/src/store.rs",
            "/// Rows on disk.\npub struct Store {\n    rows: Vec<u8>,\n}\n\nimpl Store {\n    /// Opens the file.\n    \
             pub fn open_store(path: &str) -> Self {\n        Self { rows: path.into() }\n    }\n}\n",
        )
        .file(
            "code/tools/report.py",
            "class Report:\n    \"\"\"A table for people.\"\"\"\n\n    def render_report(self, rows):\n        \
             return \"\\n\".join(rows)\n",
        );
    folder
}
