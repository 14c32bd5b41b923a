//! A folder to run `cgv` in, and files to feed it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own, with a store named `s` in it.
pub(crate) struct Folder(TempDir);

/// What a run of `cgv` did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("s")
    }

    /// `cgv`, here, on the store `s`.
    pub(crate) fn cgv(&self, args: &[&str]) -> Command {
        let mut command = self.cgv_anywhere(&["--store", "s"]);
        command.args(args);
        command
    }

    /// `cgv`, here, on whatever store it finds.
    pub(crate) fn cgv_anywhere(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgv"));
        command.current_dir(self.path()).env_remove("CGV_STORE").env_remove("CGV_BACKUPS");
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs it, and expects it to succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = run(&mut self.cgv(args));
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        ran.out
    }

    /// Runs it with `--json`, and reads what it prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(&[&["--json"], args].concat());
        assert_eq!(out.lines().count(), 1, "{out}");
        serde_json::from_str(&out).expect("JSON")
    }

    /// Runs it, and expects it to fail with this code; gives what it said.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let ran = run(&mut self.cgv(args));
        assert_eq!(ran.code, Some(code), "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("error: ") || ran.err.starts_with("note: "), "{}", ran.err);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        ran.err
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path().join(name), bytes).expect("written");
        self
    }

    /// Writes a file of code, in folders that it makes.
    pub(crate) fn source(&self, name: &str, text: &str) -> &Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
        self
    }

    /// Runs `cgv`, here, on whatever store it finds, and expects it to succeed.
    pub(crate) fn here(&self, args: &[&str]) -> Ran {
        self.below(".", args)
    }

    /// The same in a folder below.
    pub(crate) fn below(&self, folder: &str, args: &[&str]) -> Ran {
        let ran = run(self.cgv_anywhere(args).current_dir(self.path().join(folder)));
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        ran
    }

    /// The same with `--json`, read.
    pub(crate) fn json_here(&self, args: &[&str]) -> Value {
        let ran = self.here(&[args, &["--json"]].concat());
        assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
        serde_json::from_str(&ran.out).expect("JSON")
    }

    /// Runs it, here, on whatever store it finds, and expects it to fail with this code; gives what it said.
    pub(crate) fn fails_here(&self, code: i32, args: &[&str]) -> String {
        let ran = run(&mut self.cgv_anywhere(args));
        assert_eq!(ran.code, Some(code), "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("error: ") && !ran.err.contains("panicked"), "{}", ran.err);
        ran.err
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).expect("read")
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("cgv runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Runs a command that reads `input`.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// A `.npy` file of version 1.
pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A `.npy` file of float32 rows.
pub(crate) fn npy_rows(rows: &[Vec<f32>]) -> Vec<u8> {
    let data: Vec<u8> = rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    npy("<f4", &format!("({}, {})", rows.len(), rows.first().map_or(1, Vec::len)), &data)
}

/// A `.npy` file of int64 ids.
pub(crate) fn npy_ids(ids: &[i64]) -> Vec<u8> {
    let data: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    npy("<i8", &format!("({},)", ids.len()), &data)
}

/// The uint64 elements of a `.npy` file that `cgv` wrote.
pub(crate) fn read_u64s(bytes: &[u8], shape: &str) -> Vec<u64> {
    let header_bytes = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_bytes]).unwrap();
    assert!(header.contains("'<u8'") && header.contains(shape), "{header}");
    let data = bytes[10 + header_bytes..].chunks_exact(8);
    data.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Rows that look random but are always the same, none of them zero.
pub(crate) fn rows(count: usize, dimension: usize) -> Vec<Vec<f32>> {
    let mut state = 1u64;
    let mut number = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..dimension).map(|_| number()).collect()).collect()
}
