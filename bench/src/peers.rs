//! Other people's libraries, run by a harness in Python, each in a process of its own.

use std::path::PathBuf;
use std::process::Command;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How long rates are measured.
pub(crate) struct Effort {
    /// The best of so many counts.
    pub(crate) repeats: usize,
    /// Each at least so long.
    pub(crate) seconds: f64,
    /// To train and to build with.
    pub(crate) threads: usize,
}

/// Where the harness is, and what it is given.
pub(crate) struct Peers {
    pub(crate) python: PathBuf,
    /// The folder of `peers.py`.
    pub(crate) folder: PathBuf,
    pub(crate) base: PathBuf,
    pub(crate) queries: PathBuf,
    pub(crate) truth: PathBuf,
    /// For indexes and logs.
    pub(crate) scratch: PathBuf,
}

impl Peers {
    /// The names that some lines of the harness' own language print, which has its modules at hand.
    pub(crate) fn names(&self, program: &str) -> Outcome<Vec<String>> {
        let program = format!("import sys; sys.path.insert(0, sys.argv[1]); {program}");
        let output = Command::new(&self.python).args(["-B", "-c", &program]).arg(&self.folder).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?.split_whitespace().map(str::to_owned).collect())
    }

    /// Runs one of them by a command of the harness, `words`; gives the lines that it writes.
    pub(crate) fn run(&self, words: &[&str], name: &str, k: usize, effort: &Effort) -> Outcome<String> {
        let mut command = self.command(words, name);
        command
            .args(["--k", &k.to_string(), "--repeat", &effort.repeats.to_string()])
            .args(["--min-seconds", &effort.seconds.to_string()])
            .args(["--build-threads", &effort.threads.to_string()])
            .arg("--queries")
            .arg(&self.queries)
            .arg("--gt")
            .arg(&self.truth);
        self.lines(&mut command, name)
    }

    /// Vectors a second of one of them in durable commits of `batch` vectors, until `count` are in or the seconds are over.
    /// An error as well if what it committed is not there after a reopen, or a kill.
    pub(crate) fn durable(&self, name: &str, batch: usize, count: usize, seconds: f64) -> Outcome<f64> {
        let mut command = self.command(&["durable", "--no-strace"], name);
        command.args(["--batch", &batch.to_string(), "--count", &count.to_string()]);
        command.args(["--max-seconds", &seconds.to_string()]);
        let lines = self.lines(&mut command, name)?;
        let row: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap_or_default())?;
        let kept = ["all_there", "survives_kill"].into_iter().all(|key| row[key] == true);
        match row["vectors_per_s"].as_f64() {
            Some(rate) if kept => Ok(rate),
            _ => Err(format!("the harness says {row}").into()),
        }
    }

    fn command(&self, words: &[&str], name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg("-B")
            .arg(self.folder.join("peers.py"))
            .args(words)
            .args(["--peers", name])
            .arg("--base")
            .arg(&self.base)
            .arg("--out")
            .arg(self.out())
            .arg("--workdir")
            .arg(self.scratch.join("peer"))
            // OpenMP's threads would spin while others wait for a core.
            .env("OMP_WAIT_POLICY", "PASSIVE")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command
    }

    fn out(&self) -> PathBuf {
        self.scratch.join("peer.jsonl")
    }

    /// Runs the harness and reads the lines that it wrote.
    fn lines(&self, command: &mut Command, name: &str) -> Outcome<String> {
        let out = self.out();
        if out.exists() {
            std::fs::remove_file(&out)?;
        }
        let status = command.status()?;
        Ok(std::fs::read_to_string(&out).map_err(|error| format!("{name} ended with {status}: {error}"))?)
    }
}
