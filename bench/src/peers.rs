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
        let out = self.scratch.join("peer.jsonl");
        if out.exists() {
            std::fs::remove_file(&out)?;
        }
        let status = Command::new(&self.python)
            .arg("-B")
            .arg(self.folder.join("peers.py"))
            .args(words)
            .args(["--peers", name, "--k", &k.to_string(), "--repeat", &effort.repeats.to_string()])
            .args(["--min-seconds", &effort.seconds.to_string()])
            .args(["--build-threads", &effort.threads.to_string()])
            .arg("--base")
            .arg(&self.base)
            .arg("--queries")
            .arg(&self.queries)
            .arg("--gt")
            .arg(&self.truth)
            .arg("--out")
            .arg(&out)
            .arg("--workdir")
            .arg(self.scratch.join("peer"))
            // OpenMP's threads would spin while others wait for a core.
            .env("OMP_WAIT_POLICY", "PASSIVE")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()?;
        Ok(std::fs::read_to_string(&out).map_err(|error| format!("{name} ended with {status}: {error}"))?)
    }
}
