//! faiss's flat index in a Python process, asked round by round, so that it is measured in turn with ours.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The process.
pub(crate) struct Faiss {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Faiss {
    /// Starts it over raw float32 files, with a Python that has faiss-cpu and numpy.
    pub(crate) fn start(
        python: &Path,
        base: &Path,
        dimension: usize,
        queries: &Path,
        count: usize,
    ) -> Outcome<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("faiss_flat.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(base)
            .arg(dimension.to_string())
            .arg(queries)
            .arg(count.to_string())
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut faiss = Self { child, ask, answers };
        match faiss.line()?.as_str() {
            "ready" => Ok(faiss),
            other => Err(format!("faiss said {other:?}").into()),
        }
    }

    /// Median seconds of a query, over a round.
    pub(crate) fn round(&mut self) -> Outcome<f64> {
        writeln!(self.ask, "round")?;
        Ok(self.line()?.parse()?)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Faiss {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
