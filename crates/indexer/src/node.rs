//! What a parser finds in a file.

use std::ops::Range;

use crate::language::Language;

/// What a node is. The names are stored, and filters use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeKind {
    /// A file, a Rust `mod`, a C++ or TypeScript namespace.
    Module,
    /// A function that belongs to no type.
    Function,
    /// A function of a type: in an `impl`, a class, with a receiver.
    Method,
    /// A class.
    Class,
    /// A struct.
    Struct,
    /// An enumeration.
    Enum,
    /// A C, C++ or Rust union.
    Union,
    /// A Rust trait.
    Trait,
    /// A Go, Java or TypeScript interface.
    Interface,
    /// A type alias or typedef.
    Type,
    /// A macro that is defined.
    Macro,
}

impl NodeKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Module,
        Self::Function,
        Self::Method,
        Self::Class,
        Self::Struct,
        Self::Enum,
        Self::Union,
        Self::Trait,
        Self::Interface,
        Self::Type,
        Self::Macro,
    ];

    /// Its name in lower case, as nodes carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Function => "function",
            Self::Method => "method",
            Self::Class => "class",
            Self::Struct => "struct",
            Self::Enum => "enum",
            Self::Union => "union",
            Self::Trait => "trait",
            Self::Interface => "interface",
            Self::Type => "type",
            Self::Macro => "macro",
        }
    }
}

/// A definition in a file. All ranges are in bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedNode {
    /// What it is.
    pub kind: NodeKind,
    /// Its own name, such as `parse`.
    pub name: String,
    /// Its name within the file, with the language's own separator: `Store::open`, `Outer.method`.
    pub qualified_name: String,
    /// How many nodes of this kind and qualified name come before it in the file.
    pub ordinal: u32,
    /// The definition, from its first keyword to its end; decorators, attributes and comments before it left out.
    pub span: Range<usize>,
    /// The part of the span that is its body (block, field list, members); empty if it has none.
    pub body: Range<usize>,
    /// Its documentation: comments before it, docstrings within it, in order.
    pub docs: Vec<Range<usize>>,
    /// Line of the span's first byte, from 1.
    pub start_line: u32,
    /// Line of the span's last byte.
    pub end_line: u32,
    /// The node that it is directly in, by its place in [`ParsedFile::nodes`], which is a smaller one.
    pub parent: Option<usize>,
}

/// The definitions of a file, in order of their start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedFile {
    /// The language it was parsed in.
    pub language: Language,
    /// The documentation of the file itself: `//!` comments, the module's docstring, a leading comment.
    pub docs: Vec<Range<usize>>,
    /// What it defines. The file itself is not among them.
    pub nodes: Vec<ParsedNode>,
    /// Places that the grammar did not understand.
    pub syntax_errors: usize,
    /// Why the parser gave up on the rest of the file, if it did: it took too long, or nests too deeply.
    pub given_up: Option<&'static str>,
}
