//! The languages that can be parsed, and which files are in them.

use std::path::Path;

mod cpp_signs;

/// How much of a file [`Language::refine`] looks at.
const REFINE_BYTES: usize = 64 << 10;

/// A programming language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// C, headers included unless they look like C++.
    C,
    /// C++.
    Cpp,
    /// Go.
    Go,
    /// Java.
    Java,
    /// JavaScript, JSX included.
    JavaScript,
    /// Python, stubs included.
    Python,
    /// Rust.
    Rust,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX, which is a grammar of its own.
    Tsx,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::C,
        Self::Cpp,
        Self::Go,
        Self::Java,
        Self::JavaScript,
        Self::Python,
        Self::Rust,
        Self::TypeScript,
        Self::Tsx,
    ];

    /// The language of a file, by its name. `None`: not one of ours.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        Some(match extension {
            "c" | "h" => Self::C,
            "cc" | "cpp" | "cxx" | "c++" | "hh" | "hpp" | "hxx" | "h++" | "inl" | "ipp" | "tpp" => Self::Cpp,
            "go" => Self::Go,
            "java" => Self::Java,
            "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
            "py" | "pyi" | "pyw" => Self::Python,
            "rs" => Self::Rust,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            _ => return None,
        })
    }

    /// The language of a file, by its name and its text, which alone tells headers of C and C++ apart: a `.h` is
    /// C++ if its first 64 KiB have, outside of comments, strings and `#ifdef __cplusplus`, what no C header has:
    /// `class X`, `namespace`, `template <`, `public:` and its kin, or `::`.
    pub fn of_file(path: &Path, text: &str) -> Option<Self> {
        let language = Self::of_path(path)?;
        let is_header = path.extension().is_some_and(|extension| extension == "h");
        Some(if is_header { language.refine(text) } else { language })
    }

    /// What a header with the name of a C header is.
    fn refine(self, source: &str) -> Self {
        let head = &source.as_bytes()[..source.len().min(REFINE_BYTES)];
        if self == Self::C && cpp_signs::any(head) { Self::Cpp } else { self }
    }

    /// Its name, as nodes carry it: lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Go => "go",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Rust => "rust",
            Self::TypeScript | Self::Tsx => "typescript",
        }
    }
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
